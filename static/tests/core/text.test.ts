import { expect, test } from "vitest";
import { iceServers } from "../../src/core/media.ts";
import { length, likeness, pieces, privacyHints, similar } from "../../src/core/text.ts";

test("length counts what a reader counts", () => {
  expect(length(" がぎぐ ")).toBe(3);
  expect(length("が".normalize("NFD"))).toBe(1);
  expect(length("👨‍👩‍👧")).toBe(1);
});

test.each([
  ["田中さんのことで相談です", ["name"]],
  ["山本様から電話がありました", ["name"]],
  ["青葉病院に入院中の方", ["hospital"]],
  ["1985年4月3日生まれの方", ["birth"]],
  ["連絡先は090-1234-5678です", ["phone"]],
  ["０９０－１２３４－５６７８", ["phone"]],
  ["write to a.b@example.org", ["mail"]],
])("%s is worth a second look", (text, hints) => {
  expect(privacyHints(text)).toEqual(hints);
});

test.each([
  "患者さんへの声かけについて",
  "お母さんの不安をどう受けとめますか",
  "皆さんはどうしていますか",
  "2025年の改正について",
])("%s names nobody", (text) => {
  expect(privacyHints(text)).toEqual([]);
});

test("similar questions are found without word borders", () => {
  const open = [
    { text: "希死念慮のある方への初回面接で気をつけることは何ですか" },
    { text: "訪問支援の記録の書き方を教えてください" },
  ];
  expect(similar("初回面接で希死念慮のある方に気をつけること", open)).toEqual([open[0]]);
  expect(similar("短い", open)).toEqual([]);
  expect(likeness("同じ文です", "同じ文です")).toBe(1);
});

test("only http links become links, and the rest stays text", () => {
  expect(pieces("資料は https://example.org/a?b=1 です。javascript:alert(1) <b>")).toEqual([
    { kind: "text", text: "資料は " },
    { kind: "link", text: "https://example.org/a?b=1", href: "https://example.org/a?b=1" },
    { kind: "text", text: " です。javascript:alert(1) <b>" },
  ]);
  expect(pieces("見て（https://example.org/x）。")[1]).toMatchObject({ text: "https://example.org/x" });
});

test("ICE servers come from Link headers", () => {
  const link =
    '<stun:stun.example.net>; rel="ice-server", <turn:turn.example.net?transport=udp>; rel="ice-server"; username="1:a"; credential="x\\"y,z"; credential-type="password", <https://other>; rel="next"';
  expect(iceServers(link)).toEqual([
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: "1:a", credential: 'x"y,z' },
  ]);
  expect(iceServers(null)).toEqual([]);
});
