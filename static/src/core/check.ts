import { iceServers, type MediaPorts, MediaRefusal } from "./media.ts";
import { lineFacts } from "./stats.ts";
import type { Reach } from "./wire.ts";

export type Way = Exclude<Reach, "none">;
export const WAYS: readonly Way[] = ["udp", "tcp", "relay"];

/** How one way to the media port turned out; `absent`: the server has no relay to offer. */
export interface Trial {
  state: "waiting" | "good" | "bad" | "absent";
  /** Round trip in milliseconds. */
  rtt: number | null;
}

export type Trials = Record<Way, Trial>;

/** How long a way may take to come up, in milliseconds. */
const PATIENCE_MS = 9_000;

export const untried: Trials = {
  udp: { state: "waiting", rtt: null },
  tcp: { state: "waiting", rtt: null },
  relay: { state: "waiting", rtt: null },
};

/** The best way that works. */
export function verdict(trials: Trials): Reach {
  return WAYS.find((way) => trials[way].state === "good") ?? "none";
}

/** Leaves only the candidates of one transport in a description; a relay is told of all that is UDP. */
export function onlyCandidates(sdp: string, way: Way): string {
  const wanted = way === "tcp" ? " tcp " : " udp ";
  return sdp
    .split("\r\n")
    .filter((line) => !line.startsWith("a=candidate:") || line.toLowerCase().includes(wanted))
    .join("\r\n");
}

/**
 * Tries every way that media could take, through the server's real media port and its relays.
 * Rejects with a `MediaRefusal` when the server will not have it, or with the network's own error.
 */
export async function checkLine(
  ports: MediaPorts,
  session: string,
  ticket: string | null,
  told: (trials: Trials) => void,
): Promise<Trials> {
  let trials = untried;
  const tell = (way: Way, trial: Trial) => {
    trials = { ...trials, [way]: trial };
    told(trials);
  };
  const attempt = async (way: Way, ice: RTCIceServer[], named?: (ice: RTCIceServer[]) => void) => {
    const rtt = await tryWay(ports, session, ticket, way, ice, named);
    tell(way, { state: rtt === null ? "bad" : "good", rtt });
  };
  let relays: (ice: RTCIceServer[]) => void = () => undefined;
  let without: (reason: unknown) => void = () => undefined;
  const named = new Promise<RTCIceServer[]>((resolve, reject) => {
    relays = resolve;
    without = reject;
  });
  const relayed = named.then((ice) => {
    const turn = ice.filter((server) => /^turns?:/.test(String(server.urls)));
    if (turn.length > 0) return attempt("relay", turn);
    tell("relay", { state: "absent", rtt: null });
    return undefined;
  });
  const direct = attempt("udp", [], relays).catch((error: unknown) => {
    without(error);
    throw error;
  });
  await Promise.all([direct, attempt("tcp", []), relayed]);
  return trials;
}

/** One connection over one way; gives the round trip in milliseconds, or null when it does not come up. */
async function tryWay(
  ports: MediaPorts,
  session: string,
  ticket: string | null,
  way: Way,
  servers: RTCIceServer[],
  named?: (ice: RTCIceServer[]) => void,
): Promise<number | null> {
  const pc = ports.peer({
    iceServers: servers,
    iceTransportPolicy: way === "relay" ? "relay" : "all",
    bundlePolicy: "max-bundle",
  });
  const headers: Record<string, string> = ticket === null ? {} : { Authorization: `Bearer ${ticket}` };
  let location: string | null = null;
  try {
    pc.addTransceiver("audio", { direction: "recvonly" });
    await pc.setLocalDescription(await pc.createOffer());
    const answer = await ports.fetch(`/check/${session}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { ...headers, "Content-Type": "application/sdp" },
      body: pc.localDescription?.sdp ?? "",
    });
    if (answer.status !== 201) {
      const problem = (await answer.json().catch(() => ({}))) as { code?: string };
      throw new MediaRefusal(problem.code ?? "unknown", answer.status);
    }
    location = answer.headers.get("Location");
    named?.(iceServers(answer.headers.get("Link")));
    const sdp = onlyCandidates(await answer.text(), way);
    await pc.setRemoteDescription({ type: "answer", sdp });
    if (!(await comesUp(ports, pc))) return null;
    const report = await pc.getStats();
    return lineFacts(report.values(), 0, null).facts.rtt ?? 0;
  } finally {
    pc.close();
    if (location)
      void ports
        .fetch(location, { method: "DELETE", credentials: "same-origin", headers, keepalive: true })
        .catch(() => undefined);
  }
}

function comesUp(ports: MediaPorts, pc: RTCPeerConnection): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = ports.later(PATIENCE_MS, () => resolve(false));
    const look = () => {
      const state = pc.connectionState;
      if (state !== "connected" && state !== "failed" && state !== "closed") return;
      cancel();
      resolve(state === "connected");
    };
    pc.addEventListener("connectionstatechange", look);
    look();
  });
}
