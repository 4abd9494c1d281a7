import { describe, expect, test } from "vitest";
import { begun, calls, completed, suggestions } from "../../src/core/mentions.ts";

describe("mentions", () => {
  test.each([
    ["@", 1, { start: 0, typed: "" }],
    ["はい、@佐", 5, { start: 3, typed: "佐" }],
    ["hello @sa", 9, { start: 6, typed: "sa" }],
    ["mail me: a@b.example", 20, null],
    ["@佐藤 さん", 6, null],
    ["no mention", 10, null],
  ])("%s at %i", (text, caret, expected) => {
    expect(begun(text, caret)).toEqual(expected);
  });

  test("names that begin with what was typed come first, each once", () => {
    expect(suggestions(["田中 佐", "佐藤", "佐藤", "Sato"], "佐")).toEqual(["佐藤", "田中 佐"]);
    expect(suggestions(["ＳＡＴＯ", "b"], "sa")).toEqual(["ＳＡＴＯ"]);
    expect(suggestions(["a1", "a2", "a3", "a4", "a5", "a6"], "a")).toHaveLength(5);
  });

  test("completing replaces what was typed and leaves one space", () => {
    const text = "はい、@佐 どうですか";
    expect(completed(text, 5, { start: 3, typed: "佐" }, "佐藤")).toEqual({
      text: "はい、@佐藤 どうですか",
      caret: 7,
    });
  });

  test("a text calls whom it names", () => {
    expect(calls("@佐藤 さん", "佐藤")).toBe(true);
    expect(calls("佐藤さん", "佐藤")).toBe(false);
    expect(calls("@", "")).toBe(false);
  });
});
