import { effect, signal, untracked } from "@preact/signals";
import {
  type MediaPorts,
  type MediaState,
  Publisher,
  type Source,
  type Tier,
  trackOf,
  Watcher,
} from "../core/media.ts";
import type { Level, StageView } from "../core/wire.ts";
import { cameraOn, local, openDevices } from "./devices.ts";
import { rememberTier, tier } from "./tier.ts";

const ports: MediaPorts = {
  fetch: (input, init) => fetch(input, init),
  peer: (config) => new RTCPeerConnection(config),
  later: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  dice: Math.random,
};

/** Picture and sound of one visit: what comes in, and what this person sends. */
export class RoomMedia {
  readonly watching = signal<MediaState>("idle");
  readonly sending = signal<MediaState>("idle");
  readonly sharing = signal<MediaState>("idle");
  /** Rises whenever received tracks came or went. */
  readonly version = signal(0);
  readonly screen = signal<MediaStream | null>(null);
  /** The browser wants a gesture before it plays sound. */
  readonly silenced = signal(false);

  /** What the server sends us now; null while nothing comes. */
  readonly inForce = signal<Tier | null>(null);

  readonly #watcher: Watcher;
  readonly #camera: Publisher;
  readonly #screen: Publisher;
  readonly #stopEffects: () => void;
  #level: Level | null = null;

  constructor(room: string) {
    const changed = () => {
      this.watching.value = this.#watcher.state;
      this.inForce.value = this.#watcher.inForce;
      this.version.value += 1;
    };
    this.#watcher = new Watcher(ports, room, changed, tier.value);
    const servers = () => this.#watcher.servers;
    this.#camera = new Publisher(
      ports,
      room,
      "camera",
      () => (this.sending.value = this.#camera.state),
      servers,
    );
    this.#screen = new Publisher(
      ports,
      room,
      "screen",
      () => (this.sharing.value = this.#screen.state),
      servers,
    );
    this.#stopEffects = effect(() => {
      const stream = local.value;
      const camera = cameraOn.value;
      untracked(() => void this.#refresh(stream, camera));
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

  async share(): Promise<void> {
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

  unshare(): void {
    this.#screen.stop();
    for (const track of this.screen.value?.getTracks() ?? []) track.stop();
    this.screen.value = null;
  }

  wake(): void {
    this.#watcher.wake();
    this.#camera.wake();
    this.#screen.wake();
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
    this.unpublish();
    this.#watcher.stop();
  }

  async #refresh(stream: MediaStream | null, camera: boolean): Promise<void> {
    if (!stream || this.sending.value === "idle" || this.sending.value === "refused") return;
    await this.#camera.publish(stream.getTracks());
    const pc = this.#camera.connection;
    const sender = pc?.getTransceivers().find((each) => each.receiver.track.kind === "video")?.sender;
    await sender?.replaceTrack(camera ? (stream.getVideoTracks()[0] ?? null) : null);
  }
}
