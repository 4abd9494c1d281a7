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

/** How a browser reaches a TURN server. */
export type Transport = "udp" | "tcp" | "tls";
export const TRANSPORTS: readonly Transport[] = ["udp", "tcp", "tls"];

export interface Trials extends Record<Way, Trial> {
  /** The relay by each transport that the server offers one for: one that works would hide one that does not. */
  relays?: Partial<Record<Transport, Trial>>;
}

/** How long a way may take to come up, in milliseconds. */
const PATIENCE_MS = 9_000;

export const untried: Trials = {
  udp: { state: "waiting", rtt: null },
  tcp: { state: "waiting", rtt: null },
  relay: { state: "waiting", rtt: null },
};

/** How the browser would reach a TURN server; null for anything else. */
export function transportOf(server: RTCIceServer): Transport | null {
  const url = String(server.urls);
  if (url.startsWith("turns:")) return "tls";
  if (!url.startsWith("turn:")) return null;
  return url.endsWith("?transport=tcp") ? "tcp" : "udp";
}

/** The relay as a whole: it works when it does by any transport. */
function whole(relays: Partial<Record<Transport, Trial>>): Trial {
  const tried = Object.values(relays);
  const good = tried.filter((trial) => trial.state === "good");
  if (good.length > 0) return { state: "good", rtt: Math.min(...good.map((trial) => trial.rtt ?? 0)) };
  if (tried.length === 0) return { state: "absent", rtt: null };
  return { state: tried.some((trial) => trial.state === "waiting") ? "waiting" : "bad", rtt: null };
}

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
 * Tries every way that media could take, through the server's real media port and its relays, all at once.
 * Rejects with a `MediaRefusal` when the server will not have it, or with the network's own error.
 */
export async function checkLine(
  ports: MediaPorts,
  session: string,
  ticket: string | null,
  told: (trials: Trials) => void,
): Promise<Trials> {
  let trials = untried;
  const tell = (news: Partial<Trials>) => {
    trials = { ...trials, ...news };
    told(trials);
  };
  const attempt = async (way: Way, ice: RTCIceServer[], named?: (ice: RTCIceServer[]) => void) => {
    const rtt = await tryWay(ports, session, ticket, way, ice, named);
    return { state: rtt === null ? "bad" : "good", rtt } satisfies Trial;
  };
  const tellRelay = (news: Trials["relays"]) => {
    const relays = { ...trials.relays, ...news };
    tell({ relays, relay: whole(relays) });
  };
  let offered: (ice: RTCIceServer[]) => void = () => undefined;
  let without: (reason: unknown) => void = () => undefined;
  const named = new Promise<RTCIceServer[]>((resolve, reject) => {
    offered = resolve;
    without = reject;
  });
  const relayed = named.then(async (ice) => {
    const by = (each: Transport) => ice.filter((server) => transportOf(server) === each);
    const transports = TRANSPORTS.filter((each) => by(each).length > 0);
    tellRelay(Object.fromEntries(transports.map((each) => [each, untried.relay])));
    await Promise.all(
      transports.map(async (each) => tellRelay({ [each]: await attempt("relay", by(each)) })),
    );
  });
  const direct = attempt("udp", [], offered).then(
    (udp) => tell({ udp }),
    (error: unknown) => {
      without(error);
      throw error;
    },
  );
  await Promise.all([direct, attempt("tcp", []).then((tcp) => tell({ tcp })), relayed]);
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
