import { expect, test } from "vitest";
import { checkLine, onlyCandidates, type Trials, type Way } from "../../src/core/check.ts";
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
  works: (way: Way) => boolean = () => true;

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
        if (net.works(way)) this.connectionState = "connected";
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
  });
  expect(net.told).toHaveLength(3);
  expect(net.closed).toBe(3);
  expect(net.asked.filter((each) => each === "POST /check/s Bearer ticket")).toHaveLength(3);
  expect(net.asked.filter((each) => each === "DELETE /check/s/r Bearer ticket")).toHaveLength(3);
});

test("without a relay there is nothing to relay", async () => {
  const net = new Net();
  net.links = '<stun:s.example>; rel="ice-server"';
  expect((await net.run()).relay.state).toBe("absent");
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
