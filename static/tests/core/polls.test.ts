import { expect, test } from "vitest";
import {
  average,
  castable,
  EMPTY,
  foremost,
  formOf,
  inOrder,
  lacking,
  likeness,
  type Writing,
} from "../../src/core/polls.ts";
import type { PublicPoll } from "../../src/core/wire.ts";

const poll = (number: number, change: Partial<PublicPoll> = {}): PublicPoll => ({
  id: `l${number}`,
  number,
  text: "?",
  kind: "single",
  options: [1, 2, 3].map((n) => ({ id: `l${number}.${n}`, text: `${n}` })),
  state: "closed",
  version: 1,
  at: 1,
  ...change,
});
const writing = (change: Partial<Writing>): Writing => ({ ...EMPTY, text: "どれ", ...change });

test("the form sends what its kind knows, and limits that fit", () => {
  expect(formOf(writing({ options: [" お茶 ", "", "珈琲"], low: "x" }))).toEqual({
    text: "どれ",
    kind: "single",
    results: "closed",
    options: ["お茶", "珈琲"],
  });
  expect(formOf(writing({ kind: "multiple", options: ["a", "b", "c"], least: 2 }))).toMatchObject({
    least: 2,
    most: 3,
  });
  expect(formOf(writing({ kind: "multiple", options: ["a", "b", ""], least: 3, most: 3 }))).toMatchObject({
    least: 2,
    most: 2,
  });
  const scale = formOf(writing({ kind: "rating", scale: 7, low: " 低い ", options: ["x", "y"] }));
  expect(scale).toMatchObject({ scale: 7, low: "低い", high: "" });
  expect(scale.options).toBeUndefined();
});

test.each([
  [{ text: " " }, "question"],
  [{ options: ["a", " "] }, "options"],
  [{ options: ["Yes", "yes "] }, "difference"],
  [{ options: ["a", "b"] }, null],
  [{ kind: "rating" as const, options: [] }, null],
])("%j lacks %s", (change, lacks) => {
  expect(lacking(formOf(writing(change)))).toBe(lacks);
});

test("a poll's likeness makes the same poll", () => {
  const several = { ...poll(1, { kind: "multiple", least: 2, most: 3, results: "voted" }), by: "m" };
  expect(formOf(likeness(several))).toEqual({
    text: "?",
    kind: "multiple",
    results: "voted",
    options: ["1", "2", "3"],
    least: 2,
    most: 3,
  });
  expect(formOf(likeness({ ...poll(1, { kind: "rating", high: "高い" }), by: "m" }))).toMatchObject({
    scale: 3,
    high: "高い",
  });
});

test("a ballot has its numbers, and casting the same again is nothing", () => {
  const two = poll(1, { kind: "multiple", least: 2, most: 2 });
  expect(castable(two, ["a"], undefined)).toBe("number");
  expect(castable(two, ["a", "b", "c"], undefined)).toBe("number");
  expect(castable(two, ["a", "b"], ["b", "a"])).toBe("same");
  expect(castable(two, ["a", "c"], ["b", "a"])).toBe("yes");
});

test("what is open comes first, else the newest results on screen", () => {
  const [old, shown, newest] = [poll(1, { shown: true }), poll(2, { shown: true }), poll(3)];
  const open = poll(1, { id: "again", state: "open" });
  expect(inOrder([old, newest, open]).map((each) => each.id)).toEqual(["again", "l3", "l1"]);
  expect(foremost([old, open, newest])).toBe(open);
  expect(foremost([old, newest, shown])).toBe(shown);
  expect(foremost([newest])).toBeUndefined();
});

test("the average of a scale counts its steps from one", () => {
  const { options } = poll(1);
  expect(average(options, {})).toBeNull();
  expect(average(options, { "l1.1": 1, "l1.3": 3 })).toBe(2.5);
});
