import { backoff } from "./backoff.ts";
import { CLOSE, VERSION } from "./wire.ts";

/** Milliseconds between two heartbeats, and how long an answer may take before the line counts as lost. */
export const BEAT_MS = 10_000;
export const BEAT_LIMIT_MS = 8_000;

/** What the page shows about its line: three honest states and the moment before the first. */
export type LineState =
  | { kind: "connecting"; attempt: number }
  | { kind: "connected"; rtt: number | null }
  | { kind: "reconnecting"; attempt: number; retryAt: number; code: number }
  | { kind: "gone"; code: number };

/** The part of a WebSocket that core uses. */
export interface Wire {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onerror: (() => void) | null;
}

/** Clock, dice and network of the page. */
export interface LinePorts {
  open(): Wire;
  /** A fresh one-time ticket for `hello`; rejects with `Unwelcome` when the server will not have us any more. */
  ticket(): Promise<string>;
  now(): number;
  dice(): number;
  later(ms: number, run: () => void): () => void;
}

/** What the owner of the line does with it. */
export interface LineEvents {
  /** Where to resume from, or null for a whole snapshot. */
  position(): { epoch: number; seq: number } | null;
  frame(frame: { t: string }): void;
  state(state: LineState): void;
}

/** Raised by `ticket` when trying again is pointless; carries the close code that says why. */
export class Unwelcome extends Error {
  constructor(readonly code: number) {
    super(`unwelcome: ${code}`);
  }
}

/** 4500–4999 mean *stay away*; every other close means *come back*. */
export function staysAway(code: number): boolean {
  return code >= 4500 && code < 5000;
}

/**
 * One line to one room that keeps itself up: hello, heartbeat, and full-jitter reconnection.
 *
 * It knows frames only as far as the line itself needs them (`ready`, `welcome`, `pong`); everything goes to `frame`.
 */
export class Line {
  #ports: LinePorts;
  #events: LineEvents;
  #wire: Wire | null = null;
  #state: LineState = { kind: "connecting", attempt: 0 };
  #attempt = 0;
  #cancelRetry: (() => void) | null = null;
  #cancelBeat: (() => void) | null = null;
  #round = 0;

  constructor(ports: LinePorts, events: LineEvents) {
    this.#ports = ports;
    this.#events = events;
  }

  get state(): LineState {
    return this.#state;
  }

  /** Starts, or starts anew: after `gone` ("use this tab"), or to get a fresh snapshot. */
  start(): void {
    this.#attempt = 0;
    const wire = this.#wire;
    this.#wire = null;
    wire?.close(1000);
    this.#move({ kind: "connecting", attempt: 0 });
    void this.#connect();
  }

  /** The network or the page came back: try at once, or find out quickly whether an open line still lives. */
  wake(): void {
    if (this.#state.kind === "reconnecting") {
      this.#attempt = 0;
      void this.#connect();
    } else if (this.#state.kind === "connected") {
      this.#beat();
    }
  }

  /** Says goodbye and stays away. */
  stop(): void {
    this.#round += 1;
    this.#cancelRetry?.();
    this.#cancelBeat?.();
    const wire = this.#wire;
    this.#wire = null;
    wire?.close(1000);
    this.#move({ kind: "gone", code: CLOSE.BYE });
  }

  /** Sends a frame when the line is up; says whether it was. */
  send(frame: object): boolean {
    if (this.#state.kind !== "connected" || !this.#wire) return false;
    this.#wire.send(JSON.stringify(frame));
    return true;
  }

  async #connect(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#round += 1;
    const round = this.#round;
    let ticket: string;
    try {
      ticket = await this.#ports.ticket();
    } catch (error) {
      if (round !== this.#round) return;
      this.#ended(error instanceof Unwelcome ? error.code : 1006);
      return;
    }
    if (round !== this.#round) return;
    const wire = this.#ports.open();
    this.#wire = wire;
    wire.onmessage = (event) => {
      if (this.#wire === wire) this.#read(wire, event.data, ticket);
    };
    wire.onerror = null;
    wire.onclose = (event) => {
      if (this.#wire === wire) this.#ended(event.code);
    };
    this.#cancelBeat?.();
    this.#cancelBeat = this.#ports.later(BEAT_LIMIT_MS, () => this.#lost());
  }

  #read(wire: Wire, data: unknown, ticket: string): void {
    if (typeof data !== "string") return;
    let frame: { t: string; at?: number };
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.t === "ready") {
      const position = this.#events.position();
      wire.send(JSON.stringify({ t: "hello", v: VERSION, ticket, ...(position ?? {}) }));
    } else if (frame.t === "welcome") {
      this.#attempt = 0;
      this.#events.frame(frame);
      if (this.#state.kind !== "connected") {
        this.#move({ kind: "connected", rtt: null });
        this.#beat();
      }
      return;
    } else if (frame.t === "pong") {
      this.#cancelBeat?.();
      const rtt = Math.max(0, this.#ports.now() - (frame.at ?? this.#ports.now()));
      this.#move({ kind: "connected", rtt });
      this.#cancelBeat = this.#ports.later(BEAT_MS, () => this.#beat());
    }
    this.#events.frame(frame);
  }

  #beat(): void {
    this.#cancelBeat?.();
    this.send({ t: "ping", at: this.#ports.now() });
    this.#cancelBeat = this.#ports.later(BEAT_LIMIT_MS, () => this.#lost());
  }

  /** No answer in time: close our side without waiting for the network to agree. */
  #lost(): void {
    const wire = this.#wire;
    this.#wire = null;
    wire?.close(CLOSE.NO_PONG);
    this.#ended(CLOSE.NO_PONG);
  }

  #ended(code: number): void {
    this.#wire = null;
    this.#cancelBeat?.();
    this.#cancelBeat = null;
    if (staysAway(code)) {
      this.#move({ kind: "gone", code });
      return;
    }
    const pause = backoff(this.#attempt, this.#ports.dice());
    this.#attempt += 1;
    this.#move({ kind: "reconnecting", attempt: this.#attempt, retryAt: this.#ports.now() + pause, code });
    this.#cancelRetry = this.#ports.later(pause, () => void this.#connect());
  }

  #move(state: LineState): void {
    this.#state = state;
    this.#events.state(state);
  }
}
