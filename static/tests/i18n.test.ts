import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MAY_ASK } from "../src/core/wire.ts";
import { en } from "../src/i18n/en.ts";
import { ja } from "../src/i18n/ja.ts";

type Tree = { [key: string]: unknown };

function leaves(tree: Tree, path = ""): [string, unknown][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === "object" && value !== null
      ? leaves(value as Tree, `${path}${key}.`)
      : [[`${path}${key}`, value] as [string, unknown]],
  );
}

const english = new Map(leaves(en as unknown as Tree));
const japanese = new Map(leaves(ja as unknown as Tree));

test("both languages have exactly the same sentences", () => {
  expect([...japanese.keys()].sort()).toEqual([...english.keys()].sort());
});

test("no sentence is empty in one language only, and functions take the same arguments", () => {
  for (const [key, value] of english) {
    const other = japanese.get(key);
    expect(typeof other, key).toBe(typeof value);
    if (typeof value === "function") expect((other as () => string).length, key).toBe(value.length);
    else expect(Boolean(other), key).toBe(Boolean(value));
  }
});

test("Japanese sentences are Japanese", () => {
  const latinOnly = [...japanese].filter(
    ([key, value]) =>
      typeof value === "string" && value && !/[぀-ヿ㐀-鿿]/.test(value) && key !== "common.language",
  );
  expect(latinOnly.map(([key]) => key)).toEqual([]);
});

test("every refusal of the wire has its sentence, but those that pass by themselves", () => {
  const source = readFileSync(join(import.meta.dirname, "../src/protocol.gen.ts"), "utf8");
  const union = /export type RefusalCode =([\s\S]*?);\n/.exec(source)?.[1] ?? "";
  const codes = [...union.matchAll(/\| "(\w+)"/g)].map((found) => found[1] ?? "");
  expect(codes.length).toBeGreaterThan(20);
  const silent = new Set(["rate", "window", "busy", "store_away", "exists"]);
  expect(codes.filter((code) => !silent.has(code) && !(code in en.refusals))).toEqual([]);
});

test("every recorded staff act has its words", () => {
  const rooms = join(import.meta.dirname, "../../rooms");
  const acts = readdirSync(rooms)
    .filter((name) => name.endsWith(".py"))
    .flatMap((name) => [...readFileSync(join(rooms, name), "utf8").matchAll(/act: ClassVar = "(\w+)"/g)])
    .map((found) => found[1] ?? "");
  expect(acts.length).toBeGreaterThan(10);
  expect(acts.filter((act) => !(act in en.acts))).toEqual([]);
  expect(Object.keys(MAY_ASK).length).toBeGreaterThan(30);
});

test("one is not many, and two are more than one", () => {
  expect([en.qa.votes("1"), en.qa.votes("2"), en.qa.votes("1,001")]).toEqual([
    "1 vote",
    "2 votes",
    "1,001 votes",
  ]);
  expect([en.qa.tooLong(1), en.qa.tooLong(3)]).toEqual(["1 character too many.", "3 characters too many."]);
  expect([en.chat.typing(["Aoi"]), en.chat.typing(["Aoi", "Ben"])]).toEqual([
    "Aoi is writing…",
    "Aoi and Ben are writing…",
  ]);
  expect(ja.chat.typing(["青木", "別所"])).toBe("青木さん、別所さんが書いています…");
});
