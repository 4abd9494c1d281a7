import { expect, test } from "vitest";
import {
  checkLine,
  onlyCandidates,
  type Transport,
  type Trials,
  transportOf,
  type Way,
} from "../../src/core/check.ts";
import { type MediaPorts, MediaRefusal } from "../../src/core/media.ts";

const ANSWER = [
  "v=0",
  "a=candidate:1 1 udp 2130706431 192.0.2.1 8801 typ host",
  "a=candidate:2 1 tcp 1518280447 192.0.2.1 8801 typ host tcptype passive",
  "",
].join("\r\n");
const TURN = '<turn:t.example>; rel="ice-server"; username="u"; credential="c"';

/** Connections that come up where `works` says so. */
class Net {
  asked: string[] = [];
  told: Trials[] = [];
  closed = 0;
  links: string | null = TURN;
  status = 201;
  works: (way: Way, by: Transport | null) => boolean = () => true;

  ports(): MediaPorts {
    return {
      dice: () => 0.5,
      later: (_ms, run) => {
        const timer = setTimeout(run, 5);
        return () => clearTimeout(timer);
      },
      fetch: async (input, init) => {
        const bearer = (init.headers as Record<string, string>).Authorization ?? "cookie";
        this.asked.push(`${init.method} ${input} ${bearer}`);
        if (init.method === "DELETE") return new Response(null);
        if (this.status !== 201) return new Response('{"code":"too_many"}', { status: this.status });
        const headers = new Headers({ Location: `${input}/r` });
        if (this.links) headers.append("Link", this.links);
        return new Response(ANSWER, { status: 201, headers });
      },
      peer: (config) => this.#peer(config) as unknown as RTCPeerConnection,
    };
  }

  #peer(config: RTCConfiguration) {
    const net = this;
    return Object.assign(new EventTarget(), {
      connectionState: "new",
      localDescription: { sdp: "offer" },
      addTransceiver: () => undefined,
      createOffer: async () => ({}),
      setLocalDescription: async () => undefined,
      getStats: async () =>
        new Map([["P", { type: "candidate-pair", id: "P", selected: true, currentRoundTripTime: 0.01 }]]),
      async setRemoteDescription({ sdp }: { sdp: string }) {
        const way = config.iceTransportPolicy === "relay" ? "relay" : sdp.includes(" tcp ") ? "tcp" : "udp";
        const [server] = config.iceServers ?? [];
        if (net.works(way, server ? transportOf(server) : null)) this.connectionState = "connected";
      },
      close() {
        net.closed += 1;
      },
    });
  }

  run(ticket: string | null = null) {
    return checkLine(this.ports(), "s", ticket, (trials) => this.told.push(trials));
  }
}

test("every way is tried, told as it is found, and cleared away", async () => {
  const net = new Net();
  net.works = (way) => way !== "udp";
  const trials = await net.run("ticket");
  expect(trials).toEqual({
    udp: { state: "bad", rtt: null },
    tcp: { state: "good", rtt: 10 },
    relay: { state: "good", rtt: 10 },
    relays: { udp: { state: "good", rtt: 10 } },
  });
  expect(net.told).toHaveLength(4);
  expect(net.closed).toBe(3);
  expect(net.asked.filter((each) => each === "POST /check/s Bearer ticket")).toHaveLength(3);
  expect(net.asked.filter((each) => each === "DELETE /check/s/r Bearer ticket")).toHaveLength(3);
});

/** Every transport of a relay, two servers for one of them. */
const ALL = [
  "turn:t.example?transport=udp",
  "turn:t.example?transport=tcp",
  "turns:t.example",
  "turns:u.example",
]
  .map((url) => `<${url}>; rel="ice-server"; username="u"; credential="c"`)
  .join(", ");

test("a relay that one transport reaches hides none that another does not", async () => {
  const net = new Net();
  net.links = ALL;
  net.works = (way, by) => way === "relay" && by === "tcp";
  const trials = await net.run();
  expect(trials.relay).toEqual({ state: "good", rtt: 10 });
  expect(trials.relays).toEqual({
    udp: { state: "bad", rtt: null },
    tcp: { state: "good", rtt: 10 },
    tls: { state: "bad", rtt: null },
  });
  const waiting = net.told.filter(({ relays }) => relays?.tcp?.state === "waiting");
  expect(new Set(waiting.map(({ relay }) => relay.state))).toEqual(new Set(["waiting"]));
  expect(net.asked.filter((each) => each.startsWith("POST"))).toHaveLength(5);
  expect(net.closed).toBe(5);
});

test("a relay is out of reach when every transport is", async () => {
  const net = new Net();
  net.links = ALL;
  net.works = (way) => way === "udp";
  expect((await net.run()).relay).toEqual({ state: "bad", rtt: null });
});

test.each([
  ["turn:t.example", "udp"],
  ["turn:t.example:3478?transport=udp", "udp"],
  ["turn:[2001:db8::1]:3478?transport=tcp", "tcp"],
  ["turns:t.example:443", "tls"],
  ["turns:t.example?transport=tcp", "tls"],
  ["stun:t.example", null],
])("%s is reached by %s", (urls, by) => {
  expect(transportOf({ urls })).toBe(by);
});

test("without a relay there is nothing to relay", async () => {
  const net = new Net();
  net.links = '<stun:s.example>; rel="ice-server"';
  const trials = await net.run();
  expect([trials.relay.state, trials.relays]).toEqual(["absent", {}]);
  expect(net.asked[0]).toBe("POST /check/s cookie");
});

test("a server that will not have it ends the check with its code", async () => {
  const net = new Net();
  net.status = 429;
  await expect(net.run()).rejects.toThrowError(MediaRefusal);
  expect(net.closed).toBe(2);
});

test("candidates of the other transport are left out", () => {
  expect(onlyCandidates(ANSWER, "tcp").match(/candidate/g)).toHaveLength(1);
  expect(onlyCandidates(ANSWER, "relay")).toContain(" udp ");
});
