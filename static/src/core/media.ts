import { backoff } from "./backoff.ts";

export type Source = "camera" | "screen";

/** How much of the stage comes: everything; sound and the shared screen; or no media at all. */
export const TIERS = ["video", "audio", "captions"] as const;
export type Tier = (typeof TIERS)[number];

/** Where one slot's media comes from right now. */
export interface Slot {
  person: string;
  source: string;
}

/** How a media line is doing, in words the page can show. */
export type MediaState = "idle" | "connecting" | "connected" | "recovering" | "refused";

/** Network and clock of the page. */
export interface MediaPorts {
  fetch(input: string, init: RequestInit): Promise<Response>;
  peer(config: RTCConfiguration): RTCPeerConnection;
  later(ms: number, run: () => void): () => void;
  dice(): number;
}

/** How long a line may be `disconnected` after its ICE was renewed before it is built anew, in milliseconds. */
const PATIENCE_MS = 4_000;
/** How long the question for new credentials may take, and when it is asked again, in milliseconds. */
const QUESTION_MS = 3_000;
const AGAIN_MS = 500;
/** How long after a return of the network a silent line is doubted, in milliseconds. */
const DOUBT_MS = 10_000;
/** Over how long everybody's new lines are spread when a media worker died, in milliseconds. */
const SPREAD_MS = 400;
/** How long a new line may take to come up before it is built anew, in milliseconds. */
const SETUP_MS = 12_000;
/** How long a line that ends by our will stays up until the server has heard so, in milliseconds. */
const GOODBYE_MS = 1_000;

/** The ICE servers as they were named last, to whichever line; null before that. Their credentials grow old. */
export interface Named {
  servers: RTCIceServer[] | null;
}

/** `scalabilityMode` is not in TypeScript's own types yet. */
type Layer = RTCRtpEncodingParameters & { scalabilityMode?: string };

const CAMERA_LAYERS: Layer[] = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000, scalabilityMode: "L1T3" },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000, scalabilityMode: "L1T3" },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000, scalabilityMode: "L1T3" },
];
/** Pixels from which Chromium encodes three layers and two; of more it would leave out the best, not the least. */
const THREE_LAYERS = 960 * 540;
const TWO_LAYERS = 480 * 270;
const SMALL_BITRATE = 700_000;

/** The simulcast layers for a camera of this size, lowest first; an unknown one is taken for a large one. */
export function cameraLayers({ width, height }: MediaTrackSettings): Layer[] {
  const pixels = width && height ? width * height : THREE_LAYERS;
  if (pixels >= THREE_LAYERS) return CAMERA_LAYERS;
  return CAMERA_LAYERS.slice(pixels >= TWO_LAYERS ? 1 : 2).map((layer) => ({
    ...layer,
    maxBitrate: layer.rid === "f" ? SMALL_BITRATE : 200_000,
  }));
}

const SCREEN_LAYERS: Layer[] = [{ maxBitrate: 2_500_000, maxFramerate: 15 }];

/** Sound as we like to send it: nothing in silence (DTX), and each packet again with the next (RED, RFC 2198). */
function resilient(pc: RTCPeerConnection): void {
  const known = RTCRtpSender.getCapabilities?.("audio")?.codecs ?? [];
  const red = known.filter((codec) => codec.mimeType.toLowerCase() === "audio/red");
  if (!red.length) return;
  for (const transceiver of pc.getTransceivers()) {
    if (transceiver.sender.track?.kind !== "audio") continue;
    transceiver.setCodecPreferences?.([...red, ...known.filter((codec) => !red.includes(codec))]);
  }
}

/** Asks for DTX and in-band FEC: the server's answer repeats it, and the encoder goes by the answer (RFC 7587). */
export function thrifty(sdp: string): string {
  const opus = /^a=rtpmap:(\d+) opus\//im.exec(sdp)?.[1];
  if (!opus) return sdp;
  return sdp.replace(new RegExp(`^(a=fmtp:${opus} )([^\r\n]*)`, "m"), (_, head: string, text: string) => {
    const kept = text.split(";").filter((each) => !/^\s*(usedtx|useinbandfec)=/.test(each));
    return head + [...kept, "useinbandfec=1", "usedtx=1"].join(";");
  });
}

/** The server said no, with its reason; trying again is pointless until something changes. */
export class MediaRefusal extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
  ) {
    super(`${status} ${code}`);
  }
}

/** Reads `Link: <turn:…>; rel="ice-server"; username="…"; credential="…"` headers (RFC 9725 §4.6). */
export function iceServers(link: string | null): RTCIceServer[] {
  if (!link) return [];
  const servers: RTCIceServer[] = [];
  for (const match of link.matchAll(/<([^>]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]+))*)/g)) {
    const [, url = "", tail = ""] = match;
    const params = new Map<string, string>();
    for (const param of tail.matchAll(/;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]+))/g)) {
      params.set((param[1] ?? "").toLowerCase(), (param[2] ?? param[3] ?? "").replace(/\\(.)/g, "$1"));
    }
    if (params.get("rel") !== "ice-server") continue;
    const username = params.get("username");
    const credential = params.get("credential");
    servers.push({
      urls: url,
      ...(username === undefined ? {} : { username, credential: credential ?? "" }),
    });
  }
  return servers;
}

async function refusal(answer: Response): Promise<MediaRefusal> {
  const problem = (await answer.json().catch(() => ({}))) as { code?: string };
  return new MediaRefusal(problem.code ?? "unknown", answer.status);
}

/** Refusals that the next attempt cannot change. 429 and 503 come back by themselves, and so does what died. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof MediaRefusal) || error.code === "unknown_resource") return false;
  return error.status >= 400 && error.status < 500 && error.status !== 429;
}

/** The ICE credentials of a description or a fragment, as a fragment (RFC 8840 §9). */
export function iceCredentials(sdp: string): string {
  const found = ["ice-ufrag", "ice-pwd"].map((name) =>
    sdp.match(new RegExp(`^a=${name}:.*$`, "m"))?.[0].trim(),
  );
  return found.map((line) => `${line ?? ""}\r\n`).join("");
}

/** The server's description with the credentials of a fragment, as its answer to our offer. */
export function renewed(sdp: string, fragment: string): string {
  const [ufrag = "", pwd = ""] = iceCredentials(fragment).split("\r\n");
  return sdp
    .replace(/^a=ice-ufrag:[^\r\n]*/gm, ufrag)
    .replace(/^a=ice-pwd:[^\r\n]*/gm, pwd)
    .replace(/^a=setup:actpass/gm, "a=setup:passive");
}

/** A description in which lost sound may be asked for again (RFC 4585), which browsers can but do not offer. */
export function repairsSound(sdp: string): string {
  return sdp.replace(
    /^a=rtpmap:(\d+) opus\/48000\/2\r\n(?!a=rtcp-fb:\1 nack\r)/gm,
    "$&a=rtcp-fb:$1 nack\r\n",
  );
}

/** Takes our own description with repaired sound, or as the browser wrote it where it insists on that. */
async function describe(pc: RTCPeerConnection, made: RTCSessionDescriptionInit): Promise<void> {
  try {
    await pc.setLocalDescription({ ...made, sdp: repairsSound(made.sdp ?? "") });
  } catch {
    await pc.setLocalDescription(made);
  }
}

/** The media worker that a resource is at: its name up to the first dot. */
function workerOf(location: string | null): string {
  return location?.split("/").pop()?.split(".")[0] ?? "";
}

/**
 * One WHIP or WHEP resource that rebuilds itself when its line breaks.
 * Subclasses say how a session is negotiated; this class says when.
 */
abstract class MediaLine {
  #state: MediaState = "idle";
  #attempt = 0;
  #round = 0;
  #patience = PATIENCE_MS;
  #cancel: (() => void) | null = null;
  #location: string | null = null;
  #gone: readonly string[] = [];
  protected pc: RTCPeerConnection | null = null;

  constructor(
    protected readonly ports: MediaPorts,
    protected readonly changed: () => void,
    protected readonly named: Named,
  ) {}

  /** Negotiates on a fresh peer connection and returns the resource's address. */
  protected abstract negotiate(stale: () => boolean): Promise<string>;

  get state(): MediaState {
    return this.#state;
  }

  /** The connection in use, for statistics. */
  get connection(): RTCPeerConnection | null {
    return this.pc;
  }

  start(): void {
    this.#attempt = 0;
    void this.#open("connecting");
  }

  /**
   * The network or the server came back: build anew at once if the line is not up, and for a while take a
   * silent one for lost without waiting.
   */
  wake(): void {
    if (this.#state === "recovering") void this.#open("recovering");
    this.#patience = 0;
    this.ports.later(DOUBT_MS, () => {
      this.#patience = PATIENCE_MS;
    });
  }

  /** These media workers have died: what was there is built anew at once, elsewhere. */
  lose(workers: readonly string[]): void {
    this.#gone = workers;
    if (!workers.includes(workerOf(this.#location))) return;
    this.#location = null;
    this.#attempt = 0;
    this.#broken(this.#round, SPREAD_MS * this.ports.dice());
  }

  stop(): void {
    this.#round += 1;
    this.#close();
    this.#move("idle");
  }

  async #open(state: MediaState): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    const stale = () => round !== this.#round;
    this.#close();
    this.#move(state);
    try {
      this.#cancel = this.ports.later(SETUP_MS, () => this.#broken(round));
      const location = await this.negotiate(stale);
      if (stale()) {
        void this.#remove(location);
        return;
      }
      this.#location = location;
      this.#watch(round);
      this.lose(this.#gone);
    } catch (error) {
      if (stale()) return;
      if (isFinal(error)) {
        this.#close();
        this.#move("refused");
      } else {
        this.#broken(round);
      }
    }
  }

  #watch(round: number): void {
    const pc = this.pc;
    if (!pc) return;
    const ended = () => {
      const lines = [...pc.getReceivers(), ...pc.getSenders()];
      return lines.some(({ transport }) => transport?.state === "closed" || transport?.state === "failed");
    };
    const look = () => {
      if (round !== this.#round || pc !== this.pc) return;
      if (ended()) {
        this.#broken(round);
      } else if (pc.connectionState === "connected") {
        this.#cancel?.();
        this.#attempt = 0;
        this.#move("connected");
      } else if (pc.connectionState === "failed" || pc.connectionState === "closed") {
        this.#broken(round);
      } else if (pc.connectionState === "disconnected") {
        this.#cancel?.();
        this.#move("recovering");
        if (this.#patience > 0) void this.#restart(round);
        else this.#cancel = this.ports.later(0, () => this.#broken(round));
      }
    };
    pc.addEventListener("connectionstatechange", look);
    // The server's goodbye closes DTLS at once; the connection's own state needs seconds to notice.
    const transport = pc.getReceivers()[0]?.transport ?? pc.getSenders()[0]?.transport;
    transport?.addEventListener("statechange", () => {
      if (transport.state === "closed" || transport.state === "failed") look();
    });
    look();
  }

  /**
   * Renews ICE on both sides (RFC 9725 §4.3): the same session goes on over whatever path there is now, without
   * a new handshake. While the network does not even carry the question nothing is given up: the old path may
   * come back with it.
   */
  async #restart(round: number): Promise<void> {
    const { pc } = this;
    const location = this.#location;
    const remote = pc?.remoteDescription?.sdp;
    const stale = () => round !== this.#round || pc !== this.pc;
    const patient = (ms: number, run: () => void) => {
      if (!stale() && this.#state === "recovering") this.#cancel = this.ports.later(ms, run);
    };
    if (!pc || !location || !remote || pc.signalingState !== "stable") {
      patient(PATIENCE_MS, () => this.#broken(round));
      return;
    }
    try {
      const offer = await pc.createOffer({ iceRestart: true });
      const answer = await this.ports.fetch(location, {
        method: "PATCH",
        credentials: "same-origin",
        headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
        body: iceCredentials(offer.sdp ?? ""),
        signal: AbortSignal.timeout(QUESTION_MS),
      });
      if (answer.status !== 200) throw await refusal(answer);
      const theirs = await answer.text();
      if (stale()) return;
      await describe(pc, offer);
      await pc.setRemoteDescription({ type: "answer", sdp: renewed(remote, theirs) });
      patient(PATIENCE_MS, () => this.#broken(round));
    } catch (error) {
      if (error instanceof MediaRefusal) this.#broken(round);
      else patient(AGAIN_MS, () => void this.#restart(round));
    }
  }

  #broken(round: number, wait?: number): void {
    if (round !== this.#round) return;
    this.#close();
    const pause = wait ?? Math.max(200, backoff(this.#attempt, this.ports.dice()));
    this.#attempt += 1;
    this.#move("recovering");
    this.#cancel = this.ports.later(pause, () => void this.#open("recovering"));
  }

  #close(): void {
    this.#cancel?.();
    this.#cancel = null;
    const location = this.#location;
    this.#location = null;
    const pc = this.pc;
    this.pc = null;
    const removed = location ? this.#remove(location) : null;
    if (removed && pc?.connectionState === "connected") this.#closeAfter(removed, pc);
    else pc?.close();
    this.closed();
  }

  /** Lets DTLS's goodbye not overtake the DELETE: alone it says that a line broke, not that somebody is done. */
  #closeAfter(removed: Promise<void>, pc: RTCPeerConnection): void {
    const cancel = this.ports.later(GOODBYE_MS, () => pc.close());
    void removed.then(() => {
      cancel();
      pc.close();
    });
  }

  /** The peer connection is gone: subclasses forget what hung on it. */
  protected closed(): void {}

  async #remove(location: string): Promise<void> {
    try {
      await this.ports.fetch(location, { method: "DELETE", credentials: "same-origin", keepalive: true });
    } catch {
      // The server forgets a silent resource by itself.
    }
  }

  #move(state: MediaState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.changed();
  }
}

function kindOf(transceiver: RTCRtpTransceiver): string {
  return transceiver.receiver.track.kind;
}

/** Publishes one source (camera with microphone, or a screen) by WHIP. */
export class Publisher extends MediaLine {
  #tracks: MediaStreamTrack[] = [];
  #idle: readonly string[] = [];
  #resting: Promise<void> = Promise.resolve();

  constructor(
    ports: MediaPorts,
    private readonly room: string,
    readonly source: Source,
    changed: () => void,
    named: Named = { servers: null },
  ) {
    super(ports, changed, named);
  }

  /**
   * Publishes these tracks and no others from now on, on every later line too. A line with a place for each
   * goes on, empty where there is none of a kind; else one is built anew.
   */
  async publish(tracks: MediaStreamTrack[]): Promise<void> {
    this.#tracks = tracks;
    const places = this.pc?.getTransceivers() ?? [];
    const fits = tracks.every((track) => places.some((each) => kindOf(each) === track.kind));
    if (this.state === "idle" || this.state === "refused" || (this.pc && !fits)) {
      this.start();
      return;
    }
    const of = (kind: string) => tracks.find((track) => track.kind === kind) ?? null;
    await Promise.all(places.map((each) => each.sender.replaceTrack(of(kindOf(each)))));
  }

  /** Sends no picture that nobody wants: the encodings with these rids ("" for one without) rest. */
  rest(idle: readonly string[]): void {
    // One encoding without a rid is [""], which joins to what [] does.
    if (JSON.stringify(idle) === JSON.stringify(this.#idle)) return;
    this.#idle = idle;
    this.#settle();
  }

  /** One change after the other: parameters must be set as they were last read. */
  #settle(): void {
    const pc = this.pc;
    this.#resting = this.#resting.then(async () => {
      if (!pc || pc !== this.pc) return;
      for (const sender of pc.getSenders()) {
        const parameters = sender.getParameters();
        if (!parameters.encodings?.length || sender.transport?.state === "closed") continue;
        const video = pc.getTransceivers().some((each) => each.sender === sender && kindOf(each) === "video");
        if (!video) continue;
        let moved = false;
        for (const encoding of parameters.encodings) {
          const active = !this.#idle.includes(encoding.rid ?? "");
          moved ||= (encoding.active ?? true) !== active;
          encoding.active = active;
        }
        // A browser that cannot goes on sending; that does no harm.
        if (moved) await sender.setParameters(parameters).catch(() => undefined);
      }
    });
  }

  protected async negotiate(stale: () => boolean): Promise<string> {
    const servers = this.named.servers ?? (await this.#ask());
    if (stale()) throw new Error("overtaken");
    const pc = this.ports.peer({ iceServers: servers, bundlePolicy: "max-bundle" });
    this.pc = pc;
    for (const track of this.#tracks) {
      const video = track.kind === "video";
      const layers = this.source === "screen" ? SCREEN_LAYERS : cameraLayers(track.getSettings());
      pc.addTransceiver(track, {
        direction: "sendonly",
        ...(video ? { sendEncodings: layers.map((each) => ({ ...each })) } : {}),
      });
    }
    if (this.source === "camera") resilient(pc);
    await describe(pc, await pc.createOffer());
    const answer = await this.ports.fetch(`/whip/${this.room}?source=${this.source}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/sdp" },
      body:
        this.source === "camera" ? thrifty(pc.localDescription?.sdp ?? "") : (pc.localDescription?.sdp ?? ""),
    });
    if (answer.status !== 201) throw await refusal(answer);
    this.named.servers = iceServers(answer.headers.get("Link"));
    const location = answer.headers.get("Location") ?? "";
    const sdp = await answer.text();
    if (!stale()) await pc.setRemoteDescription({ type: "answer", sdp });
    this.#settle();
    return location;
  }

  /** The ICE servers, before any line has been told (RFC 9725 §4.6). */
  async #ask(): Promise<RTCIceServer[]> {
    const answer = await this.ports.fetch(`/whip/${this.room}`, {
      method: "OPTIONS",
      credentials: "same-origin",
    });
    return iceServers(answer.headers.get("Link"));
  }
}

/** Watches the stage by WHEP: the server offers a pool of slots, we answer, and slots change owner without us. */
export class Watcher extends MediaLine {
  /** Received tracks by slot (`mid`). */
  readonly tracks = new Map<string, MediaStreamTrack>();

  /** What the server sends now, as it last confirmed; null while nothing is watched. */
  inForce: Tier | null = null;
  #address: string | null = null;
  #telling: Promise<void> = Promise.resolve();

  constructor(
    ports: MediaPorts,
    private readonly room: string,
    changed: () => void,
    private tier: Tier = "video",
    named: Named = { servers: null },
  ) {
    super(ports, changed, named);
  }

  /** Chooses how much comes from now on, also over later connections; the server stops the rest. */
  choose(tier: Tier): Promise<void> {
    this.tier = tier;
    this.#telling = this.#telling.then(() => this.#tell());
    return this.#telling;
  }

  /** Tells the server when it does not know yet; a broken line tells it anew when it is rebuilt. */
  async #tell(): Promise<void> {
    const { tier } = this;
    const address = this.#address;
    if (address === null || this.inForce === tier) return;
    try {
      const answer = await this.ports.fetch(`${address}/tier`, {
        method: "PUT",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ tier }),
      });
      if (!answer.ok) throw await refusal(answer);
      if (address === this.#address) this.inForce = tier;
    } catch {
      if (address === this.#address) this.start();
    }
    this.changed();
  }

  protected async negotiate(stale: () => boolean): Promise<string> {
    const { tier } = this;
    const answer = await this.ports.fetch(`/whep/${this.room}?tier=${tier}`, {
      method: "POST",
      credentials: "same-origin",
    });
    if (answer.status !== 201) throw await refusal(answer);
    const servers = iceServers(answer.headers.get("Link"));
    this.named.servers = servers;
    const location = answer.headers.get("Location") ?? "";
    const sdp = await answer.text();
    if (stale()) return location;
    this.#address = location;
    this.inForce = tier;
    const pc = this.ports.peer({ iceServers: servers, bundlePolicy: "max-bundle" });
    this.pc = pc;
    pc.addEventListener("track", (event) => {
      if (pc !== this.pc || event.transceiver.mid === null) return;
      this.tracks.set(event.transceiver.mid, event.track);
      this.changed();
    });
    await pc.setRemoteDescription({ type: "offer", sdp });
    await describe(pc, await pc.createAnswer());
    const patched = await this.ports.fetch(location, {
      method: "PATCH",
      credentials: "same-origin",
      headers: { "Content-Type": "application/sdp" },
      body: pc.localDescription?.sdp ?? "",
    });
    if (!patched.ok) throw await refusal(patched);
    if (!stale() && this.tier !== tier) void this.choose(this.tier);
    return location;
  }

  protected override closed(): void {
    this.#address = null;
    this.inForce = null;
    this.tracks.clear();
  }
}

/** The track of the given kind that carries this person's source now, if any. */
export function trackOf(
  tracks: ReadonlyMap<string, MediaStreamTrack>,
  slots: Readonly<Record<string, Slot>>,
  person: string,
  source: Source,
  kind: "audio" | "video",
): MediaStreamTrack | null {
  for (const [mid, slot] of Object.entries(slots)) {
    if (slot.person !== person) continue;
    const screen = slot.source.startsWith("screen");
    if (screen !== (source === "screen")) continue;
    const track = tracks.get(mid);
    if (track?.kind === kind) return track;
  }
  return null;
}
