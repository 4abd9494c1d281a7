import { expect, test } from "vitest";
import { lineFacts, qualityOf } from "../../src/core/stats.ts";

const chromium = (received: number, lost: number, type = "host", protocol = "udp") => [
  { type: "transport", id: "T", selectedCandidatePairId: "P" },
  {
    type: "candidate-pair",
    id: "P",
    localCandidateId: "L",
    bytesReceived: received,
    bytesSent: 1000,
    currentRoundTripTime: 0.0231,
  },
  { type: "local-candidate", id: "L", candidateType: type, protocol },
  {
    type: "inbound-rtp",
    id: "I",
    packetsReceived: received / 1000,
    packetsLost: lost,
    frameWidth: 640,
    frameHeight: 360,
    framesPerSecond: 24,
  },
];

test("two readings make rates, one makes none", () => {
  const first = lineFacts(chromium(100_000, 0), 1000, null);
  expect(first.facts).toMatchObject({ reach: "udp", rtt: 23, down: null, up: null, loss: null });
  const second = lineFacts(chromium(350_000, 10), 3000, first.totals);
  expect(second.facts.down).toBe(1000);
  expect(second.facts.up).toBe(0);
  expect(second.facts.loss).toBeCloseTo(10 / 260);
  expect(second.facts.pictures).toEqual([{ width: 640, height: 360, frames: 24 }]);
});

test("a relay is a relay whatever it speaks, and TCP is told from UDP", () => {
  expect(lineFacts(chromium(0, 0, "relay"), 0, null).facts.reach).toBe("relay");
  expect(lineFacts(chromium(0, 0, "host", "tcp"), 0, null).facts.reach).toBe("tcp");
  expect(lineFacts([], 0, null).facts.reach).toBeNull();
});

test("Firefox names its pair by `selected`", () => {
  const report = [
    { type: "candidate-pair", id: "Q", localCandidateId: "X", state: "succeeded" },
    { type: "candidate-pair", id: "P", localCandidateId: "L", selected: true, bytesReceived: 5 },
    { type: "local-candidate", id: "L", candidateType: "srflx", protocol: "udp" },
  ];
  const { facts, totals } = lineFacts(report, 0, null);
  expect(facts.reach).toBe("udp");
  expect(totals.received).toBe(5);
});

test("counters that start anew, as after a reconnection, give no rate", () => {
  const first = lineFacts(chromium(900_000, 50), 0, null);
  expect(lineFacts(chromium(1000, 0), 2000, first.totals).facts).toMatchObject({ down: null, loss: null });
});

test("quality falls with loss either way and with the round trip", () => {
  expect(qualityOf({ rtt: 20, loss: 0, lossOut: null })).toBe(3);
  expect(qualityOf({ rtt: 200, loss: 0, lossOut: null })).toBe(2);
  expect(qualityOf({ rtt: 20, loss: 0.03, lossOut: 0 })).toBe(2);
  expect(qualityOf({ rtt: 20, loss: 0, lossOut: 0.2 })).toBe(1);
  expect(qualityOf({ rtt: 900, loss: null, lossOut: null })).toBe(1);
});
