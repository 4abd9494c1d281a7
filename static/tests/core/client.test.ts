import { expect, test } from "vitest";
import { Client, type View } from "../../src/core/client.ts";
import { Unwelcome, type Wire } from "../../src/core/socket.ts";
import { memoryStore, type Store } from "../../src/core/store.ts";
import type { Frame, You } from "../../src/core/wire.ts";

/** The network and clock of one page, in the test's hands. */
class Net {
  now = 10_000;
  wires: (Wire & { sent: Record<string, unknown>[]; closed: number | null })[] = [];
  timers: { at: number; run: () => void }[] = [];
  refuse: Unwelcome | null = null;
  dice = 0.5;

  ports(store: Store) {
    return {
      open: () => {
        const wire = {
          sent: [] as Record<string, unknown>[],
          closed: null as number | null,
          send(text: string) {
            this.sent.push(JSON.parse(text));
          },
          close(code?: number) {
            this.closed = code ?? 1000;
          },
          onopen: null,
          onmessage: null,
          onclose: null,
          onerror: null,
        };
        this.wires.push(wire);
        return wire;
      },
      ticket: () => (this.refuse ? Promise.reject(this.refuse) : Promise.resolve("one-time")),
      now: () => this.now,
      dice: () => this.dice,
      later: (ms: number, run: () => void) => {
        const timer = { at: this.now + ms, run };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((each) => each !== timer);
        };
      },
      store,
      nonce: () => `nonce-${Math.random()}`,
    };
  }

  get wire() {
    const last = this.wires.at(-1);
    if (!last) throw new Error("no wire");
    return last;
  }

  say(frame: Frame) {
    this.wire.onmessage?.({ data: JSON.stringify(frame) });
  }

  async pass(ms: number) {
    const end = this.now + ms;
    for (;;) {
      await settled();
      const next = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.now = next.at;
      next.run();
    }
    this.now = end;
    await settled();
  }

  sent(t: string) {
    return this.wires.flatMap((wire) => wire.sent).filter((frame) => frame.t === t);
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const you: You = { id: "me", role: "attendee", level: 1, name: "山田", alias: "x" };
const rate = { per_second: 5, burst: 20 };
const ready: Frame = {
  t: "ready",
  v: 1,
  limits: {
    frame_bytes: 16384,
    window: 2,
    hello_ms: 5000,
    ping_ms: 20_000,
    silence_ms: 90_000,
    commands: rate,
    pages: rate,
    signals: rate,
    answers: 4096,
  },
};
const welcome = (change: Partial<You> = {}, epoch = 1, seq = 5): Frame => ({
  t: "welcome",
  epoch,
  seq,
  now: 10_000,
  session: "s",
  you: { ...you, ...change },
});
const snapshot = (seq = 5, epoch = 1): Frame => ({ t: "snapshot", epoch, seq, events: [], cards: [] });
const post = (id: string, text: string) => ({
  t: "posted" as const,
  message: { id, channel: "main" as const, author: "me", at: 1, text },
});

async function connected(store = memoryStore()) {
  const net = new Net();
  let view: View | null = null;
  const client: Client = new Client(net.ports(store), "s", "me", () => {
    view = client.view;
  });
  client.start();
  await settled();
  net.say(ready);
  net.say(welcome());
  net.say(snapshot());
  return { net, client, view: () => view as View | null };
}

test("hello comes after ready, without a position the first time", async () => {
  const { net } = await connected();
  expect(net.sent("hello")).toEqual([{ t: "hello", v: 1, ticket: "one-time" }]);
});

test("a lost line comes back by itself with its position and re-asks with the old nonce", async () => {
  const { net, client } = await connected();
  void client.ask({ t: "post", text: "こんにちは" });
  const [first] = net.sent("do");
  net.wire.onclose?.({ code: 1006 });
  expect(client.view.line.kind).toBe("reconnecting");
  await net.pass(500);
  net.say(ready);
  expect(net.wire.sent[0]).toMatchObject({ t: "hello", epoch: 1, seq: 5 });
  net.say(welcome({}, 1, 6));
  const again = net.sent("do")[1];
  expect(again?.nonce).toBe(first?.nonce);
  net.say({ t: "events", seq: 6, entries: [{ seq: 6, at: 1, events: [post("m1", "こんにちは")] }] });
  net.say({ t: "done", ref: again?.ref as number, seq: 6 });
  expect(client.outbox.items).toEqual([]);
  expect(client.view.room.chat.main.messages).toHaveLength(1);
});

const unsure = (ref: unknown): Frame => ({ t: "refused", ref: ref as number, why: "unsure" });

test("words that may have arrived long ago are not sent a second time unless the person says so", async () => {
  const { net, client } = await connected();
  void client.ask({ t: "post", text: "a" });
  const { since, nonce } = net.sent("do")[0] ?? {};
  expect(since).toBeUndefined();
  net.wire.onclose?.({ code: 1006 });
  await net.pass(500);
  net.say(ready);
  net.say(welcome({}, 1, 9000));
  expect(net.sent("do")[1]).toMatchObject({ nonce, since: 5 });
  net.say(unsure(net.sent("do")[1]?.ref));
  expect(client.outbox.items).toMatchObject([{ state: "failed", why: "unsure" }]);
  client.resend(nonce as string);
  expect(net.sent("do")[2]?.nonce).not.toBe(nonce);
  expect(net.sent("do")[2]?.since).toBeUndefined();
});

test("a server that does not know of since is not told", async () => {
  const { net, client } = await connected();
  void client.ask({ t: "post", text: "a" });
  net.wire.onclose?.({ code: 1006 });
  await net.pass(500);
  const { answers: _, ...limits } = ready.limits;
  net.say({ ...ready, limits } as Frame);
  net.say(welcome());
  expect(net.sent("do")[1]).not.toHaveProperty("since");
});

test("an entry that comes twice is folded once", async () => {
  const { net, client } = await connected();
  const frame: Frame = {
    t: "events",
    seq: 6,
    entries: [{ seq: 6, at: 1, events: [{ t: "entered", person: "p", role: "attendee" }] }],
  };
  net.say(frame);
  const after = client.view.room;
  net.say(frame);
  expect(client.view.room).toEqual(after);
});

test("an own item leaves the outbox together with its entry, not before", async () => {
  const { net, client } = await connected();
  void client.ask({ t: "post", text: "a" });
  net.say({ t: "done", ref: net.sent("do")[0]?.ref as number, seq: 6 });
  expect(client.outbox.items).toHaveLength(1);
  net.say({ t: "events", seq: 6, entries: [{ seq: 6, at: 1, events: [post("m1", "a")] }] });
  expect(client.outbox.items).toHaveLength(0);
});

test("a close code of 4500 and above stays away; below it comes back", async () => {
  const { net, client } = await connected();
  net.wire.onclose?.({ code: 4509 });
  expect(client.view.line).toEqual({ kind: "gone", code: 4509 });
  await net.pass(60_000);
  expect(net.wires).toHaveLength(1);
  client.start();
  await settled();
  expect(net.wires).toHaveLength(2);
});

test("a ticket that the server will not give ends in gone, not in a loop", async () => {
  const { net, client } = await connected();
  net.refuse = new Unwelcome(4503);
  net.wire.onclose?.({ code: 4001 });
  await net.pass(1000);
  expect(client.view.line).toEqual({ kind: "gone", code: 4503 });
});

test("waking tries at once", async () => {
  const { net, client } = await connected();
  net.dice = 1;
  net.wire.onclose?.({ code: 1006 });
  client.wake();
  await settled();
  expect(net.wires).toHaveLength(2);
});

test("silence after a heartbeat is a lost line", async () => {
  const { net, client } = await connected();
  expect(net.sent("ping")).toHaveLength(1);
  net.say({ t: "pong", at: 9_900, now: 10_050 });
  expect(client.view.line).toEqual({ kind: "connected", rtt: 100 });
  expect(client.view.skew).toBe(50);
  await net.pass(10_000);
  expect(net.sent("ping")).toHaveLength(2);
  await net.pass(8_000);
  expect(client.view.line.kind).toBe("reconnecting");
  expect(net.wires[0]?.closed).toBe(4012);
});

test("another level means another copy: the room starts from the snapshot that follows", async () => {
  const { net, client } = await connected();
  net.say({ t: "events", seq: 6, entries: [{ seq: 6, at: 1, events: [post("m1", "for members only")] }] });
  net.say(welcome({ level: 0 }, 1, 7));
  net.say(snapshot(7));
  expect(client.view.room.chat.main.messages).toEqual([]);
  expect(client.view.you?.level).toBe(0);
});

test("a snapshot brings its own names: those known before may be of another level, or forgotten", async () => {
  const { net, client } = await connected();
  const card = (name: string) => ({ id: name, name, role: "attendee" as const });
  net.say({ t: "events", seq: 6, entries: [], cards: [card("aoi"), card("ben")] });
  net.say({ ...snapshot(7), cards: [card("ben")] } as Frame);
  expect(Object.keys(client.view.room.cards)).toEqual(["ben"]);
});

test("a replay onto a copy of another level is answered by asking for a snapshot", async () => {
  const { net } = await connected();
  net.wire.onclose?.({ code: 1006 });
  await net.pass(500);
  net.say(ready);
  net.say(welcome({ level: 0 }, 1, 7));
  net.say({ t: "events", seq: 7, entries: [] });
  await settled();
  net.say(ready);
  expect(net.wire.sent[0]).toEqual({ t: "hello", v: 1, ticket: "one-time" });
});

test("a rate refusal is not a failure: the same nonce goes out again after its wait", async () => {
  const { net, client } = await connected();
  void client.ask({ t: "post", text: "a" });
  const [first] = net.sent("do");
  net.say({ t: "refused", ref: first?.ref as number, why: "rate", wait: 800 });
  expect(net.sent("do")).toHaveLength(1);
  await net.pass(900);
  expect(net.sent("do")[1]?.nonce).toBe(first?.nonce);
});

test("no more commands are under way than the server said that it takes", async () => {
  const { net, client } = await connected();
  for (const text of ["a", "b", "c"]) void client.ask({ t: "post", text });
  expect(net.sent("do").map(({ cmd }) => (cmd as { text: string }).text)).toEqual(["a", "b"]);
  net.say({ t: "done", ref: net.sent("do")[0]?.ref as number, seq: 5 });
  expect(net.sent("do").map(({ cmd }) => (cmd as { text: string }).text)).toEqual(["a", "b", "c"]);
});

test("history comes by page and is asked for once at a time", async () => {
  const { net, client } = await connected();
  const many = Array.from({ length: 80 }, (_, i) => ({
    ...post(`m${i}`, `${i}`),
    message: { ...post(`m${i}`, `${i}`).message, at: 100 + i },
  }));
  net.say({ t: "snapshot", epoch: 1, seq: 8, events: many, cards: [] });
  void client.older("main");
  void client.older("main");
  const asked = net.sent("page");
  expect(asked).toEqual([{ t: "page", ref: 1, channel: "main", before: "m0", limit: 50 }]);
  net.say({ t: "page", ref: 1, events: [post("old", "old")], more: false });
  expect(client.view.room.chat.main.messages[0]?.id).toBe("old");
  expect(client.view.room.chat.main.more).toBe(false);
});

test("frames that are not JSON are ignored", async () => {
  const { net, client } = await connected();
  const before = client.view;
  net.wire.onmessage?.({ data: "{" });
  net.wire.onmessage?.({ data: new ArrayBuffer(2) });
  expect(client.view).toBe(before);
});
