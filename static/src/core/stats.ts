import type { Reach } from "./wire.ts";

/** Running totals of a connection at a moment; two of them make a rate. */
export interface Totals {
  at: number;
  received: number;
  sent: number;
  arrived: number;
  lost: number;
}

export interface Picture {
  width: number;
  height: number;
  frames: number;
}

/** How one's own connection is doing, in numbers a person can read; null where nobody knows yet. */
export interface LineFacts {
  reach: Exclude<Reach, "none"> | null;
  /** Round trip in milliseconds. */
  rtt: number | null;
  /** Kilobits per second. */
  down: number | null;
  up: number | null;
  /** Lost on the way here, 0–1. */
  loss: number | null;
  /** Lost on the way to the server, 0–1, as the server reports. */
  lossOut: number | null;
  /** Pictures being received, largest first. */
  pictures: Picture[];
  /** Layers being sent, largest first. */
  layers: Picture[];
}

type Entry = Record<string, unknown> & { type: string; id: string };

const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Reads a browser's statistics; `before` are the totals of the reading before, for rates. */
export function lineFacts(
  report: Iterable<unknown>,
  at: number,
  before: Totals | null,
): { facts: LineFacts; totals: Totals } {
  const entries = [...report] as Entry[];
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const transport = entries.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  const pair = transport
    ? byId.get(String(transport.selectedCandidatePairId))
    : entries.find(
        (entry) =>
          entry.type === "candidate-pair" &&
          (entry.selected === true || (entry.nominated === true && entry.state === "succeeded")),
      );
  const local = pair && byId.get(String(pair.localCandidateId));
  const inbound = entries.filter((entry) => entry.type === "inbound-rtp");
  const sum = (list: Entry[], key: string) =>
    list.reduce((total, entry) => total + (number(entry[key]) ?? 0), 0);
  const totals: Totals = {
    at,
    received: number(pair?.bytesReceived) ?? sum(inbound, "bytesReceived"),
    sent:
      number(pair?.bytesSent) ??
      sum(
        entries.filter((entry) => entry.type === "outbound-rtp"),
        "bytesSent",
      ),
    arrived: sum(inbound, "packetsReceived"),
    lost: sum(inbound, "packetsLost"),
  };
  const seconds = before ? (at - before.at) / 1000 : 0;
  const rate = (now: number, then: number) =>
    seconds > 0 && now >= then ? Math.round(((now - then) * 8) / 1000 / seconds) : null;
  const arrived = before ? totals.arrived - before.arrived : 0;
  const lost = before ? Math.max(0, totals.lost - before.lost) : 0;
  const rtt = number(pair?.currentRoundTripTime);
  const outLoss = entries
    .filter((entry) => entry.type === "remote-inbound-rtp")
    .map((entry) => number(entry.fractionLost))
    .filter((value) => value !== null);
  return {
    totals,
    facts: {
      reach: reachOf(local),
      rtt: rtt === null ? null : Math.round(rtt * 1000),
      down: before && rate(totals.received, before.received),
      up: before && rate(totals.sent, before.sent),
      loss: arrived + lost > 0 && arrived >= 0 ? lost / (arrived + lost) : null,
      lossOut: outLoss.length > 0 ? Math.max(...outLoss) : null,
      pictures: pictures(inbound),
      layers: pictures(entries.filter((entry) => entry.type === "outbound-rtp")),
    },
  };
}

function reachOf(local: Entry | undefined): LineFacts["reach"] {
  if (!local) return null;
  if (local.candidateType === "relay") return "relay";
  return local.protocol === "tcp" ? "tcp" : "udp";
}

function pictures(entries: Entry[]): Picture[] {
  return entries
    .map((entry) => ({
      width: number(entry.frameWidth) ?? 0,
      height: number(entry.frameHeight) ?? 0,
      frames: Math.round(number(entry.framesPerSecond) ?? 0),
    }))
    .filter((picture) => picture.height > 0 && picture.frames > 0)
    .sort((a, b) => b.height - a.height || b.width - a.width);
}

/** A line's quality from 0 (gone) to 3 (good), as the page's bars show it. */
export function qualityOf(facts: Pick<LineFacts, "rtt" | "loss" | "lossOut">): number {
  const loss = Math.max(facts.loss ?? 0, facts.lossOut ?? 0);
  const rtt = facts.rtt ?? 0;
  if (loss >= 0.08 || rtt >= 400) return 1;
  return loss >= 0.02 || rtt >= 150 ? 2 : 3;
}
