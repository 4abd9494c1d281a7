import { readJson, type Store, writeJson } from "./store.ts";

/** How many commands may be under way at once, until the server says it. */
export const WINDOW = 8;
/** How many commands may wait for the line; past this a new one is refused on the spot. */
export const LIMIT = 200;

/** What every command has: its type. */
export interface AnyCmd {
  t: string;
}

export type ItemState = "queued" | "sent" | "failed";

/** One command on its way to the server. */
export interface Item<C extends AnyCmd = AnyCmd> {
  /** Makes repeating safe: the server answers a nonce once. */
  nonce: string;
  cmd: C;
  state: ItemState;
  /** The newest entry known when it was sent, or the least of several times: its own entry can only be a later one. */
  since?: number;
  /** When the person asked for it, milliseconds since the epoch. */
  at: number;
  /** Why the server refused it, when failed. */
  why?: string;
  /** When asking again makes sense, milliseconds since the epoch. */
  retryAt?: number;
}

/** How a command ended. */
export interface Outcome {
  ok: boolean;
  why?: string;
  wait?: number;
  by?: string;
  at?: number;
  seq?: number;
}

interface Ports<C extends AnyCmd> {
  store: Store;
  key: string;
  now(): number;
  nonce(): string;
  /** Which refused commands stay visible for resend or discard, because they carry the person's own words. */
  keeps(cmd: C): boolean;
  changed(): void;
}

/**
 * Commands in order, kept until the server has answered each of them.
 *
 * Everything unanswered survives a reload (in the store) and a lost line: `resume` puts what was sent back in the queue
 * and `due` hands it out again with its old nonce.
 */
export class Outbox<C extends AnyCmd = AnyCmd> {
  #items: Item<C>[];
  #ports: Ports<C>;
  #pausedUntil = 0;
  #window = WINDOW;
  #waiting = new Map<string, (outcome: Outcome) => void>();

  constructor(ports: Ports<C>) {
    this.#ports = ports;
    const kept = readJson<Item<C>[]>(ports.store, ports.key) ?? [];
    this.#items = kept.map((item) => (item.state === "sent" ? { ...item, state: "queued" } : item));
  }

  get items(): readonly Item<C>[] {
    return this.#items;
  }

  /** Takes a command; the promise settles when the server has answered (or the person discarded it). */
  push(cmd: C): { nonce: string; outcome: Promise<Outcome> } {
    const nonce = this.#ports.nonce();
    if (this.#items.length >= LIMIT) {
      return { nonce, outcome: Promise.resolve({ ok: false, why: "outbox_full" }) };
    }
    const outcome = new Promise<Outcome>((resolve) => this.#waiting.set(nonce, resolve));
    this.#items = [...this.#items, { nonce, cmd, state: "queued", at: this.#ports.now() }];
    this.#save();
    return { nonce, outcome };
  }

  /** How many commands this server takes under way at once. */
  allow(window: number): void {
    this.#window = window;
  }

  /**
   * The commands to send now, in order, marked as sent. Never more than the window under way.
   *
   * `seq` is the newest entry of the room that is known. Only what was sent before carries `since`.
   */
  due(seq: number): Item<C>[] {
    if (this.#ports.now() < this.#pausedUntil) return [];
    const underway = this.#items.filter((item) => item.state === "sent").length;
    const next = this.#items
      .filter((item) => item.state === "queued")
      .slice(0, Math.max(0, this.#window - underway));
    if (next.length === 0) return [];
    const chosen = new Set(next.map((item) => item.nonce));
    const sent = (item: Item<C>): Item<C> => ({
      ...item,
      state: "sent",
      since: Math.min(item.since ?? seq, seq),
    });
    this.#items = this.#items.map((item) => (chosen.has(item.nonce) ? sent(item) : item));
    this.#save();
    return next.map((item) => (item.since === undefined ? item : sent(item)));
  }

  /** The line is new: whatever was sent without an answer is asked again with its old nonce. */
  resume(): void {
    this.#items = this.#items.map((item) => (item.state === "sent" ? { ...item, state: "queued" } : item));
    this.#save();
  }

  /** The server had no time for it: it goes back to its place in the queue, and nothing is sent for `ms`. */
  postpone(nonce: string, ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#ports.now() + ms);
    this.#items = this.#items.map((item) => (item.nonce === nonce ? { ...item, state: "queued" } : item));
    this.#save();
  }

  done(nonce: string, seq?: number): void {
    this.#drop(nonce, { ok: true, seq });
  }

  refused(nonce: string, answer: Omit<Outcome, "ok">): void {
    const item = this.#items.find((each) => each.nonce === nonce);
    if (!item) return;
    if (!this.#ports.keeps(item.cmd)) {
      this.#drop(nonce, { ok: false, ...answer });
      return;
    }
    const retryAt = answer.wait === undefined ? undefined : this.#ports.now() + answer.wait;
    this.#items = this.#items.map((each) =>
      each.nonce === nonce ? { ...each, state: "failed", why: answer.why, retryAt } : each,
    );
    this.#settle(nonce, { ok: false, ...answer });
    this.#save();
  }

  /** Asks a failed command again (or `cmd` in its place), under a new nonce: the old one has had its answer. */
  resend(nonce: string, cmd?: C): void {
    this.#items = this.#items.map((item) =>
      item.nonce === nonce && item.state === "failed"
        ? { nonce: this.#ports.nonce(), cmd: cmd ?? item.cmd, at: this.#ports.now(), state: "queued" }
        : item,
    );
    this.#save();
  }

  discard(nonce: string): void {
    this.#drop(nonce, { ok: false, why: "discarded" });
  }

  /** Forgets everything: the person left or another identity took the seat. */
  clear(): void {
    for (const item of this.#items) this.#settle(item.nonce, { ok: false, why: "discarded" });
    this.#items = [];
    this.#save();
  }

  #drop(nonce: string, outcome: Outcome): void {
    this.#items = this.#items.filter((item) => item.nonce !== nonce);
    this.#settle(nonce, outcome);
    this.#save();
  }

  #settle(nonce: string, outcome: Outcome): void {
    this.#waiting.get(nonce)?.(outcome);
    this.#waiting.delete(nonce);
  }

  #save(): void {
    if (this.#items.length === 0) this.#ports.store.removeItem(this.#ports.key);
    else writeJson(this.#ports.store, this.#ports.key, this.#items);
    this.#ports.changed();
  }
}
