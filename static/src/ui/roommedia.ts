import { effect, signal, untracked } from "@preact/signals";
import {
  type MediaPorts,
  type MediaState,
  type Named,
  Publisher,
  type Source,
  type Tier,
  trackOf,
  Watcher,
} from "../core/media.ts";
import { type LineFacts, lineFacts, type Totals } from "../core/stats.ts";
import type { Level, Reach, StageView } from "../core/wire.ts";
import { local, openDevices } from "./devices.ts";
import { rememberTier, tier } from "./tier.ts";

/** The page's network and clock, for media. */
export const ports: MediaPorts = {
  fetch: (input, init) => fetch(input, init),
  peer: (config) => new RTCPeerConnection(config),
  later: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  dice: Math.random,
};

/** How often one's own line is read, and how long it may be down before the staff are told, milliseconds. */
const READ_MS = 4_000;
const UNREACHED_MS = 20_000;

/** Picture and sound of one visit: what comes in, and what this person sends. */
export class RoomMedia {
  readonly watching = signal<MediaState>("idle");
  readonly sending = signal<MediaState>("idle");
  readonly sharing = signal<MediaState>("idle");
  /** Rises whenever received tracks came or went. */
  readonly version = signal(0);
  readonly screen = signal<MediaStream | null>(null);
  /** Why one's last share ended although nobody ended it here. */
  readonly unshared = signal<"refused" | "taken" | null>(null);
  /** The browser wants a gesture before it plays sound. */
  readonly silenced = signal(false);

  /** What the server sends us now; null while nothing comes. */
  readonly inForce = signal<Tier | null>(null);

  /** One's own line in numbers, read every few seconds while something comes. */
  readonly facts = signal<LineFacts | null>(null);
  /** How media reaches us; null until that is known. */
  reach: Reach | null = null;
  #totals = new WeakMap<RTCPeerConnection, Totals>();
  #unreached: (() => void) | null = null;
  readonly #stopReading: () => void;

  readonly #watcher: Watcher;
  readonly #camera: Publisher;
  readonly #screen: Publisher;
  readonly #stopEffects: () => void;
  #level: Level | null = null;

  constructor(room: string, reached: (reach: Reach) => void = () => undefined) {
    const note = (reach: Reach) => {
      this.reach = reach;
      reached(reach);
    };
    const timer = setInterval(() => void this.#read(note), READ_MS);
    this.#stopReading = () => clearInterval(timer);
    const changed = () => {
      this.#doubt(note);
      this.watching.value = this.#watcher.state;
      this.inForce.value = this.#watcher.inForce;
      this.version.value += 1;
    };
    const named: Named = { servers: null };
    this.#watcher = new Watcher(ports, room, changed, tier.value, named);
    this.#camera = new Publisher(
      ports,
      room,
      "camera",
      () => (this.sending.value = this.#camera.state),
      named,
    );
    this.#screen = new Publisher(
      ports,
      room,
      "screen",
      () => {
        this.sharing.value = this.#screen.state;
        if (this.#screen.state === "refused") this.unshare("refused");
      },
      named,
    );
    this.#stopEffects = effect(() => {
      const stream = local.value;
      untracked(() => void this.#refresh(stream));
    });
  }

  /** Watches as somebody of this level from now on; who does so already goes on, another level sees another stage. */
  watch(level: Level): void {
    const watches = this.#level === level && !["idle", "refused"].includes(this.#watcher.state);
    this.#level = level;
    if (!watches) this.#watcher.start();
  }

  /** Receives so much from now on, here and at the next visit of this device. */
  async choose(wanted: Tier): Promise<void> {
    rememberTier(wanted);
    await this.#watcher.choose(wanted);
  }

  unwatch(): void {
    this.#watcher.stop();
  }

  /** Sends camera and microphone until told otherwise; opens the devices when nobody has. */
  async publish(): Promise<void> {
    if (this.sending.value !== "idle" && this.sending.value !== "refused") return;
    const stream = local.value ?? (await openDevices());
    if (stream) await this.#camera.publish(stream.getTracks());
  }

  unpublish(): void {
    this.#camera.stop();
    this.unshare();
  }

  /** Lets rest what nobody watches, by source, as the server tells its publisher. */
  rest(idle: Readonly<Record<string, readonly string[]>>): void {
    this.#camera.rest(idle.camera ?? []);
    this.#screen.rest(idle.screen ?? []);
  }

  async share(): Promise<void> {
    this.unshared.value = null;
    const stream = await navigator.mediaDevices
      .getDisplayMedia({ video: { frameRate: { max: 15 } } })
      .catch(() => null);
    const track = stream?.getVideoTracks()[0];
    if (!stream || !track) return;
    track.contentHint = "detail";
    track.addEventListener("ended", () => this.unshare());
    this.screen.value = stream;
    await this.#screen.publish([track]);
  }

  unshare(why: "refused" | "taken" | null = null): void {
    this.#screen.stop();
    for (const track of this.screen.value?.getTracks() ?? []) track.stop();
    this.screen.value = null;
    this.unshared.value = why;
  }

  /** Ends a share that nobody may see: the server mutes it, or the stage's only place for one is another's. */
  yieldScreen(muted: boolean, taken: boolean): void {
    if (!this.screen.value) return;
    if (muted) this.unshare();
    else if (taken && this.sharing.value === "connected") this.unshare("taken");
  }

  wake(): void {
    this.#watcher.wake();
    this.#camera.wake();
    this.#screen.wake();
  }

  /** These media workers have died. */
  lose(workers: readonly string[]): void {
    this.#watcher.lose(workers);
    this.#camera.lose(workers);
    this.#screen.lose(workers);
  }

  /** The received track of a person, following the slots. */
  track(stage: StageView, person: string, source: Source, kind: "audio" | "video"): MediaStreamTrack | null {
    void this.version.value;
    return trackOf(this.#watcher.tracks, stage.slots ?? {}, person, source, kind);
  }

  /** Every received sound, with whose it is now. */
  sounds(stage: StageView, me: string): { mid: string; track: MediaStreamTrack; person: string }[] {
    void this.version.value;
    return [...this.#watcher.tracks]
      .filter(([, track]) => track.kind === "audio")
      .map(([mid, track]) => ({ mid, track, person: stage.slots?.[mid]?.person ?? "" }))
      .filter(({ person }) => person !== me);
  }

  close(): void {
    this.#stopEffects();
    this.#stopReading();
    this.#unreached?.();
    this.unpublish();
    this.#watcher.stop();
  }

  /** A line that stays down for long is one that does not exist. */
  #doubt(note: (reach: Reach) => void): void {
    const { state } = this.#watcher;
    if (state !== "connecting" && state !== "recovering") {
      this.#unreached?.();
      this.#unreached = null;
      if (state === "connected") void this.#read(note);
      else this.facts.value = null;
    } else {
      this.#unreached ??= ports.later(UNREACHED_MS, () => note("none"));
    }
  }

  async #read(note: (reach: Reach) => void): Promise<void> {
    const pc = this.#watcher.connection;
    if (!pc || this.#watcher.state !== "connected") return;
    const watched = await this.#factsOf(pc);
    if (!watched || pc !== this.#watcher.connection) return;
    const own = this.#camera.connection;
    const sent = own && this.sending.value === "connected" ? await this.#factsOf(own) : null;
    this.facts.value = sent
      ? { ...watched, up: sent.up, lossOut: sent.lossOut, layers: sent.layers }
      : watched;
    if (watched.reach && watched.reach !== this.reach) note(watched.reach);
  }

  async #factsOf(pc: RTCPeerConnection): Promise<LineFacts | null> {
    try {
      const report = await pc.getStats();
      const { facts, totals } = lineFacts(report.values(), Date.now(), this.#totals.get(pc) ?? null);
      this.#totals.set(pc, totals);
      return facts;
    } catch {
      return null;
    }
  }

  async #refresh(stream: MediaStream | null): Promise<void> {
    if (!stream || this.sending.value === "idle" || this.sending.value === "refused") return;
    await this.#camera.publish(stream.getTracks());
  }
}
