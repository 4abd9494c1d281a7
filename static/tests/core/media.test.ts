import { expect, test } from "vitest";
import {
  cameraLayers,
  iceCredentials,
  type MediaPorts,
  type Named,
  Publisher,
  renewed,
  repairsSound,
  thrifty,
  trackOf,
  Watcher,
} from "../../src/core/media.ts";

type Track = Pick<MediaStreamTrack, "kind">;

/** A peer connection whose state the test decides. */
class Peer extends EventTarget {
  places: { sender: { track: Track | null }; receiver: { track: Track } }[] = [];
  connectionState = "new";
  closed = false;
  localDescription = { sdp: "answer" };
  remoteDescription: { sdp: string } | null = null;
  signalingState = "stable";
  remotes: RTCSessionDescriptionInit[] = [];
  createOffer = async () => ({ type: "offer", sdp: "v=0\r\na=ice-ufrag:mine\r\na=ice-pwd:mine too\r\n" });
  getReceivers = () => [];
  getTransceivers(): unknown[] {
    return this.places;
  }
  addTransceiver(track: Track) {
    const sender = {
      track: track as Track | null,
      replaceTrack: async (other: Track | null) => {
        sender.track = other;
      },
    };
    this.places.push({ sender, receiver: { track: { kind: track.kind } } });
  }
  constructor(readonly config: RTCConfiguration = {}) {
    super();
  }
  get sends(): (Track | null)[] {
    return this.places.map(({ sender }) => sender.track);
  }
  getSenders(): unknown[] {
    return [];
  }
  setRemoteDescription = async (given: RTCSessionDescriptionInit) => {
    this.remotes.push(given);
  };
  createAnswer = async () => ({});
  setLocalDescription = async () => undefined;
  close() {
    this.closed = true;
  }
  become(state: string) {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

class Net {
  peers: Peer[] = [];
  asked: string[] = [];
  timers: { ms: number; run: () => void }[] = [];
  status = 201;
  worker = "";
  lost = false;
  link = "";
  /** What a DELETE waits for. */
  deletion: Promise<void> = Promise.resolve();
  fragments: string[] = [];
  restarts = 200;

  ports(): MediaPorts {
    return {
      fetch: async (input, init) => {
        this.asked.push(`${init.method} ${input}`);
        if (init.method === "PATCH" && this.lost)
          return new Response('{"code":"unknown_resource"}', { status: 404 });
        if (JSON.stringify(init.headers ?? {}).includes("sdpfrag")) {
          this.fragments.push(String(init.body));
          if (this.restarts === 0) throw new TypeError("no network");
          return new Response("a=ice-ufrag:new\r\na=ice-pwd:secret\r\n", { status: this.restarts });
        }
        if (init.method === "OPTIONS") return new Response(null, { headers: { Link: this.link } });
        if (init.method === "DELETE") await this.deletion;
        if (init.method !== "POST") return new Response(null, { status: 204 });
        const headers = { Link: this.link, Location: `/whep/s/${this.worker}${this.peers.length}` };
        return new Response(this.status === 201 ? "offer" : '{"code":"forbidden"}', {
          status: this.status,
          headers,
        });
      },
      peer: (config) => {
        const peer = new Peer(config);
        this.peers.push(peer);
        return peer as unknown as RTCPeerConnection;
      },
      later: (ms, run) => {
        const timer = { ms, run };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((each) => each !== timer);
        };
      },
      dice: () => 0.5,
    };
  }

  /** Lets the next timer of at most `ms` go off. */
  async fire(ms: number) {
    const timer = this.timers.find((each) => each.ms <= ms);
    this.timers = this.timers.filter((each) => each !== timer);
    timer?.run();
    await settled();
  }

  get peer(): Peer {
    const last = this.peers.at(-1);
    if (!last) throw new Error("no peer");
    return last;
  }
}

const settled = () => new Promise<void>((resolve) => setTimeout(resolve));

async function watching() {
  const net = new Net();
  const watcher = new Watcher(net.ports(), "s", () => undefined);
  watcher.start();
  await settled();
  return { net, watcher };
}

test("watching asks with nothing and answers the server's offer at its address", async () => {
  const { net, watcher } = await watching();
  expect(net.asked).toEqual(["POST /whep/s?tier=video", "PATCH /whep/s/0"]);
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
});

test("a failed line is closed, its resource given back, and a new one built", async () => {
  const { net, watcher } = await watching();
  net.peer.become("connected");
  net.peer.become("failed");
  expect(watcher.state).toBe("recovering");
  expect(net.peers[0]?.closed).toBe(true);
  await net.fire(1000);
  expect(net.asked.slice(2)).toEqual(["DELETE /whep/s/0", "POST /whep/s?tier=video", "PATCH /whep/s/1"]);
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
});

test("a silent line is given a moment, and comes back without being rebuilt", async () => {
  const { net, watcher } = await watching();
  net.peer.become("connected");
  net.peer.become("disconnected");
  expect(watcher.state).toBe("recovering");
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
  expect(net.peers).toHaveLength(1);
});

const OFFER =
  "a=ice-ufrag:old\r\na=ice-pwd:old\r\na=setup:actpass\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\na=setup:actpass\r\n";

async function disturbed(restarts: number) {
  const { net, watcher } = await watching();
  net.restarts = restarts;
  net.peer.remoteDescription = { sdp: OFFER };
  net.peer.become("connected");
  net.peer.become("disconnected");
  await settled();
  return { net, watcher };
}

test("a silent line asks for new credentials at its address and goes on with them", async () => {
  const { net, watcher } = await disturbed(200);
  expect(net.fragments).toEqual(["a=ice-ufrag:mine\r\na=ice-pwd:mine too\r\n"]);
  const fresh = "a=ice-ufrag:new\r\na=ice-pwd:secret\r\na=setup:passive\r\n";
  expect(net.peer.remotes.at(-1)).toEqual({ type: "answer", sdp: fresh + fresh });
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
  expect(net.peers).toHaveLength(1);
});

test("when the server knows the resource no longer, the line is built anew without waiting for patience", async () => {
  const { net, watcher } = await disturbed(404);
  expect(net.peers[0]?.closed).toBe(true);
  await net.fire(1000);
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
  expect(net.peers).toHaveLength(2);
});

test("while the network is gone the old path is kept, and the question asked again", async () => {
  const { net, watcher } = await disturbed(0);
  await net.fire(500);
  await net.fire(500);
  expect(net.fragments).toHaveLength(3);
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
  expect(net.peers).toHaveLength(1);
  expect(net.timers.some(({ ms }) => ms === 500)).toBe(false);
});

test("where new credentials do not help the line is built anew", async () => {
  const { net } = await disturbed(200);
  await net.fire(4000);
  await net.fire(1000);
  expect(net.peers).toHaveLength(2);
});

test("sound is described as repairable, once", () => {
  const opus = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:96 VP8/90000\r\n";
  const repaired = opus.replace("\na=fmtp", "\na=rtcp-fb:111 nack\r\na=fmtp");
  expect(repairsSound(opus)).toBe(repaired);
  expect(repairsSound(repaired)).toBe(repaired);
});

test("credentials are found anywhere in a description", () => {
  expect(iceCredentials(OFFER)).toBe("a=ice-ufrag:old\r\na=ice-pwd:old\r\n");
  expect(renewed("a=mid:0\r\na=ice-pwd:x\r\n", "a=ice-pwd:y\r\na=ice-ufrag:z\r\n")).toBe(
    "a=mid:0\r\na=ice-pwd:y\r\n",
  );
});

test("a small camera sends as many layers as browsers encode of it, the best among them", () => {
  const rids = (width?: number, height?: number) =>
    cameraLayers({ ...(width && { width }), ...(height && { height }) }).map(({ rid }) => rid);
  expect(rids()).toEqual(["q", "h", "f"]);
  expect(rids(1280, 720)).toEqual(["q", "h", "f"]);
  expect(rids(640, 360)).toEqual(["h", "f"]);
  expect(rids(360, 640)).toEqual(["h", "f"]);
  expect(rids(320, 180)).toEqual(["f"]);
});

test("when its media worker died a line is built anew at once, and others are left alone", async () => {
  const net = new Net();
  net.worker = "5c0e91aa.";
  const watcher = new Watcher(net.ports(), "s", () => undefined);
  watcher.start();
  await settled();
  net.peer.become("connected");
  watcher.lose(["77777777"]);
  expect(watcher.state).toBe("connected");
  net.worker = "11111111.";
  watcher.lose(["77777777", "5c0e91aa"]);
  expect(watcher.state).toBe("recovering");
  await net.fire(400);
  expect(net.asked.slice(2)).toEqual(["POST /whep/s?tier=video", "PATCH /whep/s/11111111.1"]);
  net.peer.become("connected");
  watcher.lose(["77777777", "5c0e91aa"]);
  expect(watcher.state).toBe("connected");
  expect(net.peers).toHaveLength(2);
});

test("a worker that dies while its answer is on the way is not the end", async () => {
  const net = new Net();
  net.lost = true;
  const watcher = new Watcher(net.ports(), "s", () => undefined);
  watcher.start();
  await settled();
  expect(watcher.state).toBe("recovering");
  net.lost = false;
  await net.fire(1000);
  net.peer.become("connected");
  expect(watcher.state).toBe("connected");
});

test("right after the network returned a silent line is rebuilt without waiting", async () => {
  const { net, watcher } = await watching();
  net.peer.become("connected");
  watcher.wake();
  net.peer.become("disconnected");
  await net.fire(0);
  await net.fire(1000);
  expect(net.peers).toHaveLength(2);
});

test("a no from the server is final; being busy is not", async () => {
  const net = new Net();
  net.status = 403;
  const watcher = new Watcher(net.ports(), "s", () => undefined);
  watcher.start();
  await settled();
  expect(watcher.state).toBe("refused");
  net.status = 503;
  watcher.start();
  await settled();
  expect(watcher.state).toBe("recovering");
});

test("stopping while the offer is on its way leaves nothing behind", async () => {
  const net = new Net();
  const watcher = new Watcher(net.ports(), "s", () => undefined);
  watcher.start();
  watcher.stop();
  await settled();
  expect(watcher.state).toBe("idle");
  expect(net.asked.at(-1)).toBe("DELETE /whep/s/0");
  expect(net.peers.every((peer) => peer.closed)).toBe(true);
});

test("a line that we end stays up until the server has heard so, but not for long", async () => {
  const { net, watcher } = await watching();
  const { peer } = net;
  peer.become("connected");
  let heard: () => void = () => undefined;
  net.deletion = new Promise((resolve) => {
    heard = resolve;
  });
  watcher.stop();
  await settled();
  expect(net.asked.at(-1)).toBe("DELETE /whep/s/0");
  expect([watcher.state, peer.closed]).toEqual(["idle", false]);
  heard();
  await settled();
  expect(peer.closed).toBe(true);
  expect(net.timers.some(({ ms }) => ms === 1000)).toBe(false);

  const silent = await watching();
  silent.net.peer.become("connected");
  silent.net.deletion = new Promise(() => undefined);
  silent.watcher.stop();
  await silent.net.fire(1000);
  expect(silent.net.peer.closed).toBe(true);
});

const voice = { kind: "audio" } as MediaStreamTrack;
const face = { kind: "video" } as MediaStreamTrack;

async function publishing(net: Net, named?: Named) {
  const publisher = new Publisher(net.ports(), "s", "screen", () => undefined, named);
  await publisher.publish([voice, face]);
  await settled();
  net.peer.become("connected");
  return publisher;
}

test("a camera that was turned off stays off on every line that is built later", async () => {
  const net = new Net();
  const publisher = await publishing(net);
  expect(net.peer.sends).toEqual([voice, face]);
  await publisher.publish([voice]);
  expect(net.peer.sends).toEqual([voice, null]);
  await publisher.publish([voice, face]);
  await publisher.publish([voice]);
  expect(net.peers).toHaveLength(1);
  net.peer.become("failed");
  await net.fire(1000);
  net.peer.become("connected");
  expect(net.peers.map((peer) => peer.sends)).toEqual([[voice, null], [voice]]);
  await publisher.publish([voice, face]);
  await settled();
  expect(net.peers.map((peer) => peer.sends)).toEqual([[voice, null], [voice], [voice, face]]);
});

test("a camera that is turned off while its line is broken or just being built is not sent", async () => {
  const net = new Net();
  const publisher = await publishing(net);
  net.peer.become("failed");
  await publisher.publish([voice]);
  await net.fire(1000);
  expect(net.peer.sends).toEqual([voice]);
  publisher.stop();
  void publisher.publish([voice, face]);
  void publisher.publish([voice]);
  await settled();
  expect(net.peer.sends).toEqual([voice, null]);
});

const turn = (user: string) =>
  `<turn:turn.example>; rel="ice-server"; username="${user}"; credential="of ${user}"`;
const asked = (user: string) => [{ urls: "turn:turn.example", username: user, credential: `of ${user}` }];

test("who publishes before anybody named the ICE servers asks, and later takes the newest alone", async () => {
  const net = new Net();
  net.link = turn("early");
  const named: Named = { servers: null };
  await publishing(net, named);
  expect(net.asked).toEqual(["OPTIONS /whip/s", "POST /whip/s?source=screen"]);
  net.link = turn("late");
  new Watcher(net.ports(), "s", () => undefined, "video", named).start();
  await settled();
  net.peers[0]?.become("failed");
  await net.fire(1000);
  expect(net.peers.map(({ config }) => config.iceServers)).toEqual([
    asked("early"),
    asked("late"),
    asked("late"),
  ]);
  expect(net.asked.filter((each) => each.startsWith("OPTIONS"))).toHaveLength(1);
});

test("a publication that ends while it asks for the servers leaves nothing behind", async () => {
  const net = new Net();
  const publisher = new Publisher(net.ports(), "s", "screen", () => undefined);
  void publisher.publish([face]);
  publisher.stop();
  await settled();
  expect(net.asked).toEqual(["OPTIONS /whip/s"]);
  expect([publisher.state, net.peers.length]).toEqual(["idle", 0]);
});

test("a tier is told to the server, and every later connection begins with it", async () => {
  const { net, watcher } = await watching();
  net.peer.become("connected");
  expect(watcher.inForce).toBe("video");
  await watcher.choose("audio");
  await watcher.choose("audio");
  expect(net.asked.slice(2)).toEqual(["PUT /whep/s/0/tier"]);
  expect(watcher.inForce).toBe("audio");
  net.peer.become("failed");
  expect(watcher.inForce).toBeNull();
  await net.fire(1000);
  expect(net.asked).toContain("POST /whep/s?tier=audio");
  expect(watcher.inForce).toBe("audio");
});

test("a tier chosen while the offer is on its way is told once the address is known", async () => {
  const net = new Net();
  const watcher = new Watcher(net.ports(), "s", () => undefined, "captions");
  watcher.start();
  void watcher.choose("audio");
  void watcher.choose("video");
  await settled();
  await settled();
  expect(net.asked[0]).toBe("POST /whep/s?tier=captions");
  expect(net.asked.filter((each) => each.startsWith("PUT"))).toEqual(["PUT /whep/s/0/tier"]);
  expect(watcher.inForce).toBe("video");
});

test("tracks follow the slots: who is seen moves without a new negotiation", () => {
  const track = (kind: string) => ({ kind }) as MediaStreamTrack;
  const [v0, a0, screen] = [track("video"), track("audio"), track("video")];
  const tracks = new Map([
    ["v0", v0],
    ["a0", a0],
    ["screen", screen],
  ]);
  const slots = {
    v0: { person: "p1", source: "camera" },
    a0: { person: "p1", source: "microphone" },
    screen: { person: "p1", source: "screen" },
  };
  expect(trackOf(tracks, slots, "p1", "camera", "video")).toBe(v0);
  expect(trackOf(tracks, slots, "p1", "camera", "audio")).toBe(a0);
  expect(trackOf(tracks, slots, "p1", "screen", "video")).toBe(screen);
  expect(trackOf(tracks, { v0: { person: "p2", source: "camera" } }, "p1", "camera", "video")).toBeNull();
  expect(trackOf(tracks, { v0: { person: "p2", source: "camera" } }, "p2", "camera", "video")).toBe(v0);
});

test("the offer asks for silence to cost nothing and for repair within the sound", () => {
  const offer = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 63 111",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "",
  ].join("\r\n");
  expect(thrifty(offer)).toBe(offer.replace("useinbandfec=1", "useinbandfec=1;usedtx=1"));
  expect(thrifty(thrifty(offer))).toBe(thrifty(offer));
  expect(thrifty("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n")).toBe("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n");
});

test("encodings that nobody wants rest until they are wanted again, also on a new line", async () => {
  const net = new Net();
  const sent: boolean[][] = [];
  const sender = {
    track: null,
    transport: null,
    getParameters: () => ({
      encodings: [
        { rid: "q", active: true },
        { rid: "f", active: sent.at(-1)?.[1] ?? true },
      ],
    }),
    setParameters: async ({ encodings }: { encodings: { active: boolean }[] }) => {
      sent.push(encodings.map((each) => each.active));
    },
  };
  const transceiver = { sender, receiver: { track: { kind: "video" } } };
  Object.assign(Peer.prototype, {
    getSenders: () => [sender],
    getTransceivers: () => [transceiver],
    addTransceiver: () => transceiver,
    createOffer: async () => ({}),
  });
  const publisher = new Publisher(net.ports(), "s", "screen", () => undefined);
  await publisher.publish([{ kind: "video" } as MediaStreamTrack]);
  await settled();
  publisher.rest(["f"]);
  await settled();
  expect(sent).toEqual([[true, false]]);
  publisher.rest(["f"]);
  publisher.rest([]);
  await settled();
  expect(sent.at(-1)).toEqual([true, true]);
});
