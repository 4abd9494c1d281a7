import { beforeEach, expect, test, vi } from "vitest";

/** A browser with one camera and one microphone, as far as publishing needs it. */
class Track extends EventTarget {
  readyState = "live";
  enabled = true;
  contentHint = "";
  constructor(readonly kind: string) {
    super();
  }
  getSettings = () => ({ width: 1280, height: 720 });
  stop() {
    this.readyState = "ended";
  }
}

class Stream {
  constructor(private readonly tracks: Track[]) {}
  getTracks = () => this.tracks;
  getAudioTracks = () => this.tracks.filter(({ kind }) => kind === "audio");
  getVideoTracks = () => this.tracks.filter(({ kind }) => kind === "video");
}

class Peer extends EventTarget {
  connectionState = "connected";
  localDescription = { sdp: "offer" };
  senders: { track: Track | null; replaceTrack(track: Track | null): Promise<void> }[] = [];
  #kinds: string[] = [];
  constructor() {
    super();
    peers.push(this);
  }
  addTransceiver(track: Track) {
    const sender = {
      track: track as Track | null,
      replaceTrack: async (other: Track | null) => {
        sender.track = other;
      },
    };
    this.#kinds.push(track.kind);
    this.senders.push(sender);
  }
  getTransceivers = () =>
    this.senders.map((sender, n) => ({ sender, receiver: { track: { kind: this.#kinds[n] } } }));
  getSenders = () => [];
  getReceivers = () => [];
  createOffer = async () => ({});
  setLocalDescription = async () => undefined;
  setRemoteDescription = async () => undefined;
  getStats = async () => new Map();
  close() {
    this.connectionState = "closed";
  }
  /** Kinds of what really leaves. */
  get sends(): string[] {
    return this.senders.flatMap(({ track }) =>
      track?.readyState === "live" && track.enabled ? [track.kind] : [],
    );
  }
}

const peers: Peer[] = [];
let opened: string[][] = [];
let cameras: Track[] = [];
let screens: Track[] = [];
let refused = false;
let noCamera = false;

vi.stubGlobal("MediaStream", Stream);
vi.stubGlobal("RTCPeerConnection", Peer);
vi.stubGlobal("RTCRtpSender", {});
vi.stubGlobal(
  "AudioContext",
  class {
    createMediaStreamSource = () => ({ connect: () => undefined, disconnect: () => undefined });
    createAnalyser = () => ({ getFloatTimeDomainData: () => undefined });
  },
);
vi.stubGlobal("navigator", {
  mediaDevices: {
    getUserMedia: async (wanted: object) => {
      const kinds = Object.keys(wanted);
      opened.push(kinds.sort());
      if (noCamera && kinds.includes("video")) throw new DOMException("", "NotReadableError");
      const tracks = kinds.map((kind) => new Track(kind));
      cameras.push(...tracks.filter(({ kind }) => kind === "video"));
      return new Stream(tracks);
    },
    getDisplayMedia: async () => {
      const track = new Track("video");
      screens.push(track);
      return new Stream([track]);
    },
    enumerateDevices: async () => [],
  },
});
vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
  if (init.method !== "POST") return new Response(null, { status: 204 });
  return refused
    ? new Response('{"code":"role_refused"}', { status: 403 })
    : new Response("answer", { status: 201, headers: { Location: "/whip/s/r" } });
});

const { RoomMedia } = await import("../../src/ui/roommedia.ts");
const { cameraLive, cameraOn, closeDevices, local, setCamera, trouble } = await import(
  "../../src/ui/devices.ts"
);

beforeEach(() => {
  closeDevices();
  cameraOn.value = true;
  peers.length = 0;
  opened = [];
  cameras = [];
  screens = [];
  refused = false;
  noCamera = false;
});

const last = () => peers.at(-1) ?? expect.fail("no connection");

async function publishing() {
  const media = new RoomMedia("s");
  await media.publish();
  await vi.waitFor(() => expect(media.sending.value).toBe("connected"));
  return media;
}

/** The line breaks, and another one is built. */
async function rebuilt(media: InstanceType<typeof RoomMedia>) {
  const before = peers.length;
  last().connectionState = "failed";
  last().dispatchEvent(new Event("connectionstatechange"));
  await vi.waitFor(() => expect([peers.length, media.sending.value]).toEqual([before + 1, "connected"]));
}

test("a camera that is off is closed, its light too, and no later line sends a picture", async () => {
  const media = await publishing();
  expect(last().sends.sort()).toEqual(["audio", "video"]);
  await setCamera(false);
  expect(cameras.map(({ readyState }) => readyState)).toEqual(["ended"]);
  expect(last().sends).toEqual(["audio"]);
  await rebuilt(media);
  expect(last().sends).toEqual(["audio"]);
  await setCamera(true);
  await vi.waitFor(() => expect(last().sends.sort()).toEqual(["audio", "video"]));
  media.close();
});

test("who returns to the stage with the camera off is not seen, and the camera is not even opened", async () => {
  const media = await publishing();
  await setCamera(false);
  media.unpublish();
  closeDevices();
  opened = [];
  await media.publish();
  await vi.waitFor(() => expect(media.sending.value).toBe("connected"));
  expect(opened).toEqual([["audio"]]);
  expect(last().sends).toEqual(["audio"]);
  media.close();
});

test("a camera that is turned off while it opens is closed as soon as it has opened", async () => {
  const media = await publishing();
  await setCamera(false);
  const opening = setCamera(true);
  await setCamera(false);
  await opening;
  expect(cameras.map(({ readyState }) => readyState)).toEqual(["ended", "ended"]);
  expect([cameraLive.value, cameraOn.value, last().sends]).toEqual([false, false, ["audio"]]);
  media.close();
});

test("a camera that does not open is off, and the page can say why", async () => {
  const media = await publishing();
  await setCamera(false);
  noCamera = true;
  await setCamera(true);
  expect([cameraOn.value, cameraLive.value, trouble.value]).toEqual([false, false, "busy"]);
  expect(local.value?.getTracks().map(({ kind }) => kind)).toEqual(["audio"]);
  media.close();
});

test("a share that the server refuses ends, and the screen is not captured any longer", async () => {
  const media = await publishing();
  refused = true;
  await media.share();
  await vi.waitFor(() => expect(media.unshared.value).toBe("refused"));
  expect([media.screen.value, media.sharing.value]).toEqual([null, "idle"]);
  expect(screens.map(({ readyState }) => readyState)).toEqual(["ended"]);
  refused = false;
  await media.share();
  await vi.waitFor(() => expect(media.sharing.value).toBe("connected"));
  expect(media.unshared.value).toBeNull();
  media.close();
});

test.each([
  ["muted", [true, false], null],
  ["another's", [false, true], "taken"],
] as const)("a share that nobody may see, as it is %s, ends", async (_, [muted, taken], why) => {
  const media = await publishing();
  media.yieldScreen(muted, taken);
  await media.share();
  await vi.waitFor(() => expect(media.sharing.value).toBe("connected"));
  media.yieldScreen(false, false);
  expect(media.screen.value).not.toBeNull();
  media.yieldScreen(muted, taken);
  expect([media.screen.value, media.unshared.value]).toEqual([null, why]);
  expect(screens.map(({ readyState }) => readyState)).toEqual(["ended"]);
  media.close();
});
