import { expect, test } from "vitest";
import { LIMIT, Outbox, WINDOW } from "../../src/core/outbox.ts";
import { memoryStore, type Store } from "../../src/core/store.ts";

interface Cmd {
  t: string;
  text?: string;
}

function outbox(store: Store = memoryStore(), clock = { now: 1000 }) {
  let nonces = 0;
  return new Outbox<Cmd>({
    store,
    key: "out",
    now: () => clock.now,
    nonce: () => `nonce-${Math.random()}-${++nonces}`,
    keeps: (cmd) => cmd.t === "post",
    changed: () => undefined,
  });
}

test("commands leave in order, at most a window at once", () => {
  const box = outbox();
  for (let i = 0; i < 12; i += 1) box.push({ t: "post", text: String(i) });
  const first = box.due(0);
  expect(first.map((item) => item.cmd.text)).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
  expect(first).toHaveLength(WINDOW);
  expect(box.due(0)).toEqual([]);
  box.done(first[0]?.nonce ?? "");
  expect(box.due(0).map((item) => item.cmd.text)).toEqual(["8"]);
});

test("what was sent without an answer is asked again with its old nonce", () => {
  const box = outbox();
  box.push({ t: "post", text: "a" });
  const [before] = box.due(0);
  box.resume();
  const [after] = box.due(0);
  expect(after?.nonce).toBe(before?.nonce);
});

test("what is asked again says since when, the earliest entry that was known at any time", () => {
  const store = memoryStore();
  const box = outbox(store);
  box.push({ t: "post", text: "a" });
  expect(box.due(70)[0]?.since).toBeUndefined();
  box.resume();
  expect(box.due(90)[0]?.since).toBe(70);
  const again = outbox(store);
  expect(again.due(60)[0]?.since).toBe(60); // another history, which is shorter
  again.resume();
  expect(again.due(95)[0]?.since).toBe(60);
});

test("a reload keeps everything unanswered, in order, with its nonces", () => {
  const store = memoryStore();
  const box = outbox(store);
  box.push({ t: "post", text: "a" });
  box.push({ t: "ask", text: "b" });
  const before = box.due(0).map((item) => item.nonce);
  const again = outbox(store);
  expect(again.due(0).map((item) => item.nonce)).toEqual(before);
});

test("an answered command is gone from page and store", async () => {
  const store = memoryStore();
  const box = outbox(store);
  const { outcome } = box.push({ t: "post", text: "a" });
  const [item] = box.due(0);
  box.done(item?.nonce ?? "", 7);
  expect(await outcome).toEqual({ ok: true, seq: 7 });
  expect(box.items).toEqual([]);
  expect(store.getItem("out")).toBeNull();
});

test("refused words stay for resend or discard; other refusals only tell", async () => {
  const box = outbox();
  const words = box.push({ t: "post", text: "a" });
  const act = box.push({ t: "approve" });
  box.due(0);
  box.refused(words.nonce, { why: "slow_mode", wait: 4000 });
  box.refused(act.nonce, { why: "conflict", at: 3, by: "p2" });
  expect(await words.outcome).toMatchObject({ ok: false, why: "slow_mode" });
  expect(await act.outcome).toEqual({ ok: false, why: "conflict", at: 3, by: "p2" });
  expect(box.items).toHaveLength(1);
  expect(box.items[0]).toMatchObject({ state: "failed", why: "slow_mode", retryAt: 5000 });
  box.resend(words.nonce);
  const [fresh] = box.due(0);
  expect(fresh?.nonce).not.toBe(words.nonce);
  box.discard(fresh?.nonce ?? "");
  expect(box.items).toEqual([]);
});

test("a server without time gets the same command, same nonce, later", () => {
  const clock = { now: 1000 };
  const box = outbox(memoryStore(), clock);
  box.push({ t: "post", text: "a" });
  const [item] = box.due(0);
  box.postpone(item?.nonce ?? "", 700);
  expect(box.due(0)).toEqual([]);
  clock.now = 1701;
  expect(box.due(0)[0]?.nonce).toBe(item?.nonce);
});

test("a full outbox says so at once and keeps what it has", async () => {
  const box = outbox();
  for (let i = 0; i < LIMIT; i += 1) box.push({ t: "post" });
  expect(await box.push({ t: "post" }).outcome).toMatchObject({ ok: false, why: "outbox_full" });
  expect(box.items).toHaveLength(LIMIT);
});

test("an unreadable copy counts as none", () => {
  const store = memoryStore();
  store.setItem("out", "{not json");
  expect(outbox(store).items).toEqual([]);
});

test("a refused command can be asked again as another one, once its author has agreed to that", () => {
  const store = memoryStore();
  const box = outbox(store);
  const { nonce } = box.push({ t: "post", text: "told: full" });
  box.due(1);
  box.refused(nonce, { why: "policy_changed" });
  expect(box.due(1)).toEqual([]);
  box.resend(nonce, { t: "post", text: "told: named" });
  const [again] = box.due(1);
  expect(again?.cmd.text).toBe("told: named");
  expect(again?.nonce).not.toBe(nonce);
  expect(outbox(store).items.map((item) => item.cmd.text)).toEqual(["told: named"]);
});
