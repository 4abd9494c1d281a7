import { Outbox, type Outcome } from "./outbox.ts";
import { emptyRoom, foldEntries, fromSnapshot, oldest, type Room, withCards, withPage } from "./room.ts";
import { Line, type LinePorts, type LineState } from "./socket.ts";
import type { Store } from "./store.ts";
import type {
  AnyCommand,
  Channel,
  Frame,
  FrameOf,
  SignalKind,
  Signals,
  StageView,
  Tally,
  You,
} from "./wire.ts";

export interface ClientPorts extends LinePorts {
  store: Store;
  nonce(): string;
}

/** Everything the page shows of a session, as one value. */
export interface View {
  line: LineState;
  you: You | null;
  room: Room;
  /** Whether a first snapshot (or replay) has arrived. */
  ready: boolean;
  signals: Signals;
  stage: StageView;
  /** How each poll stands, as far as this viewer may know. */
  tallies: Readonly<Record<string, Tally>>;
  /** Milliseconds to add to this machine's clock to get the server's. */
  skew: number;
  /** Rises with each fresh snapshot after the first; media starts over when the level changed. */
  welcomes: number;
  /** Rises when the server says that its store has lost what it had acknowledged. */
  losses: number;
}

/** Commands whose words stay on the page when refused. */
const KEPT = new Set(["post", "ask"]);

function keeps(cmd: AnyCommand): boolean {
  return KEPT.has(cmd.t) || (cmd.t === "say_at_door" && !cmd.visitor);
}

/** Signals say only what changed. */
function merged(known: Signals, { t: _t, ...news }: Signals & { t: string }): Signals {
  return { ...known, ...news };
}

/** Refusals that pass by themselves: nothing was decided, the same nonce is asked again. */
const PASSING = new Set(["rate", "window", "busy", "store_away"]);

/**
 * One person in one session: the line, the outbox and the room, joined.
 * Knows nothing of how it is shown; `changed` is called after every change of `view`.
 */
export class Client {
  readonly outbox: Outbox<AnyCommand>;
  readonly #line: Line;
  readonly #ports: ClientPorts;
  readonly #changed: () => void;
  #view: View;
  #epoch: number | null = null;
  #seq = 0;
  /** The newest entry that the server has told of, which may be ahead of what has arrived. */
  #tail = 0;
  /** Whether the server understands since when a repeated command has been asked. */
  #since = false;
  #ref = 0;
  #level: number | null = null;
  #asked = new Map<number, string>();
  #pages = new Map<number, { channel: Channel; settle: () => void }>();
  /** Answered commands whose entry has not arrived yet: taken off the page together with it. */
  #settling: { nonce: string; seq: number }[] = [];

  constructor(ports: ClientPorts, session: string, person: string, changed: () => void) {
    this.#ports = ports;
    this.#changed = changed;
    this.#view = {
      line: { kind: "connecting", attempt: 0 },
      you: null,
      room: emptyRoom,
      ready: false,
      signals: {},
      stage: {},
      tallies: {},
      skew: 0,
      welcomes: 0,
      losses: 0,
    };
    this.outbox = new Outbox<AnyCommand>({
      store: ports.store,
      key: `madoi.outbox.${session}.${person}`,
      now: ports.now,
      nonce: ports.nonce,
      keeps,
      changed,
    });
    this.#line = new Line(ports, {
      position: () => (this.#epoch === null ? null : { epoch: this.#epoch, seq: this.#seq }),
      frame: (frame) => this.#read(frame as Frame),
      state: (line) => this.#lineMoved(line),
    });
  }

  get view(): View {
    return this.#view;
  }

  start(): void {
    this.#line.start();
  }

  stop(): void {
    this.#line.stop();
  }

  wake(): void {
    this.#line.wake();
  }

  /** Asks the server for something; the promise tells how it ended, however many lines that takes. */
  ask(cmd: AnyCommand): Promise<Outcome> {
    const { outcome } = this.outbox.push(cmd);
    this.#pump();
    return outcome;
  }

  resend(nonce: string, cmd?: AnyCommand): void {
    this.outbox.resend(nonce, cmd);
    this.#pump();
  }

  /** A quiet signal; lost when the line is down, as such things may be. */
  signal(kind: SignalKind): boolean {
    return this.#line.send({ t: "signal", kind });
  }

  typing(): void {
    this.#line.send({ t: "typing" });
  }

  /** Brings older messages of a channel. */
  older(channel: Channel): Promise<void> {
    if (!this.#view.room.chat[channel].more) return Promise.resolve();
    if ([...this.#pages.values()].some((page) => page.channel === channel)) return Promise.resolve();
    this.#ref += 1;
    const ref = this.#ref;
    const before = oldest(this.#view.room.chat[channel]);
    if (!this.#line.send({ t: "page", ref, channel, before, limit: 50 })) return Promise.resolve();
    return new Promise((settle) => this.#pages.set(ref, { channel, settle }));
  }

  #set(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    this.#changed();
  }

  #lineMoved(line: LineState): void {
    if (line.kind === "reconnecting" || line.kind === "gone") {
      this.#asked.clear();
      for (const page of this.#pages.values()) page.settle();
      this.#pages.clear();
    }
    const fresh = line.kind === "connected" && this.#view.line.kind !== "connected";
    this.#set({ line });
    if (fresh) {
      this.outbox.resume();
      this.#pump();
    }
  }

  #pump(): void {
    if (this.#line.state.kind !== "connected") return;
    for (const item of this.outbox.due(this.#tail)) {
      this.#ref += 1;
      this.#asked.set(this.#ref, item.nonce);
      const since = this.#since ? item.since : undefined;
      this.#line.send({ t: "do", ref: this.#ref, nonce: item.nonce, cmd: item.cmd, since });
    }
  }

  #read(frame: Frame): void {
    switch (frame.t) {
      case "ready":
        this.outbox.allow(frame.limits.window);
        this.#since = frame.limits.answers !== undefined;
        break;
      case "welcome":
        this.#welcome(frame);
        break;
      case "snapshot":
        this.#epoch = frame.epoch;
        this.#seq = frame.seq;
        this.#set({
          room: fromSnapshot(frame.events, frame.cards),
          ready: true,
          tallies: {},
        });
        this.#settle();
        break;
      case "events":
        this.#follow(frame);
        break;
      case "done":
        this.#done(frame);
        break;
      case "refused":
        this.#refused(frame);
        break;
      case "page":
        this.#page(frame);
        break;
      case "signals":
        this.#set({ signals: merged(this.#view.signals, frame) });
        break;
      case "tally": {
        const { t: _t, poll, ...tally } = frame;
        this.#set({ tallies: { ...this.#view.tallies, [poll]: tally } });
        break;
      }
      case "stage": {
        const { t: _t, ...stage } = frame;
        this.#set({ stage });
        break;
      }
      case "pong":
        this.#set({ skew: frame.now - this.#ports.now() });
        break;
      default:
        break;
    }
  }

  #welcome(frame: FrameOf<"welcome">): void {
    if (this.#epoch !== frame.epoch || this.#level !== frame.you.level) {
      // Another log or another level: what was known may not be ours any more; a snapshot follows.
      this.#epoch = null;
      this.#seq = 0;
    }
    this.#level = frame.you.level;
    this.#tail = frame.seq;
    this.#set({
      you: frame.you,
      skew: frame.now - this.#ports.now(),
      ready: this.#view.ready,
      welcomes: this.#view.welcomes + 1,
      losses: this.#view.losses + (frame.lost ? 1 : 0),
    });
  }

  #follow(frame: FrameOf<"events">): void {
    if (this.#epoch === null) {
      // A replay onto a copy that may not be ours: ask for the whole room instead.
      this.#line.start();
      return;
    }
    const news = (frame.entries ?? []).filter((entry) => entry.seq > this.#seq);
    this.#seq = Math.max(this.#seq, frame.seq);
    this.#tail = Math.max(this.#tail, this.#seq);
    this.#set({ room: foldEntries(withCards(this.#view.room, frame.cards), news), ready: true });
    this.#settle();
  }

  #done(frame: FrameOf<"done">): void {
    const nonce = this.#asked.get(frame.ref);
    this.#asked.delete(frame.ref);
    if (nonce === undefined) return;
    this.#settling.push({ nonce, seq: frame.seq });
    this.#settle();
    this.#pump();
  }

  #settle(): void {
    const ripe = this.#settling.filter(({ seq }) => seq <= this.#seq);
    if (ripe.length === 0) return;
    this.#settling = this.#settling.filter(({ seq }) => seq > this.#seq);
    for (const { nonce, seq } of ripe) this.outbox.done(nonce, seq);
    this.#pump();
  }

  #refused(frame: FrameOf<"refused">): void {
    const page = this.#pages.get(frame.ref);
    if (page) {
      this.#pages.delete(frame.ref);
      page.settle();
      return;
    }
    const nonce = this.#asked.get(frame.ref);
    this.#asked.delete(frame.ref);
    if (nonce === undefined) return;
    const { why } = frame;
    const wait = frame.wait ?? undefined;
    const by = frame.by ?? undefined;
    const at = frame.at ?? undefined;
    if (PASSING.has(why)) {
      const pause = Math.max(wait ?? 0, 500);
      this.outbox.postpone(nonce, pause);
      this.#ports.later(pause + 10, () => this.#pump());
    } else {
      this.outbox.refused(nonce, { why, wait, by, at });
    }
    this.#pump();
  }

  #page(frame: FrameOf<"page">): void {
    const page = this.#pages.get(frame.ref);
    this.#pages.delete(frame.ref);
    if (!page) return;
    const room = withCards(this.#view.room, frame.cards);
    this.#set({ room: withPage(room, page.channel, frame.events, frame.more) });
    page.settle();
  }
}
