"""What a page receives, read from the browser's own statistics (W3C webrtc-stats), not from our client."""

import itertools
from typing import Any

RECORD = """
(() => {
  const Real = window.RTCPeerConnection;
  window.__connections = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...given) { super(...given); window.__connections.push(this); }
  };
})();
"""
"""Runs before the page's own scripts and remembers every connection that they make."""

READ = """
(async () => {
  const rows = [];
  for (const connection of window.__connections ?? []) {
    if (connection.connectionState === 'closed') continue;
    for (const row of (await connection.getStats()).values()) {
      if (row.type === 'inbound-rtp' || row.type === 'outbound-rtp')
        rows.push({
          type: row.type, kind: row.kind, mid: row.mid ?? '', ssrc: row.ssrc,
          frames: row.framesDecoded ?? row.framesEncoded ?? 0,
          energy: row.totalAudioEnergy ?? 0, packets: row.packetsReceived ?? row.packetsSent ?? 0,
          freezes: row.freezeCount ?? 0, bytes: row.bytesSent ?? 0, target: row.targetBitrate ?? 0,
        });
    }
  }
  return rows;
})()
"""

SHOWN = """
() => {
  window.__shown = [];
  let before = 0;
  const look = async () => {
    let frames = 0;
    for (const connection of window.__connections)
      if (connection.connectionState !== 'closed')
        for (const row of (await connection.getStats()).values())
          if (row.type === 'inbound-rtp' && row.kind === 'video') frames += row.framesDecoded ?? 0;
    if (frames && frames !== before) window.__shown.push(Date.now() / 1000);
    before = frames;
    setTimeout(look, 50);
  };
  look();
}
"""
"""Notes from now on, on the page's clock, when a picture has moved: Unix seconds in ``__shown``."""


def longest_still(shown: list[float], since: float) -> float:
    """Seconds for which pictures stood still at most, by what `SHOWN` noted, ending after `since`."""
    return max(after - before for before, after in itertools.pairwise(shown) if after > since)


def received(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Keep the tracks of a kind from which anything arrived."""
    return [row for row in rows if row["type"] == "inbound-rtp" and row["kind"] == kind and row["packets"]]


def frames(rows: list[dict[str, Any]]) -> list[int]:
    """Give the frames decoded per video track that has decoded any, fewest first."""
    return sorted(row["frames"] for row in received(rows, "video") if row["frames"])


def energy(rows: list[dict[str, Any]]) -> float:
    """Give the audio energy received so far, over all tracks."""
    return sum(row["energy"] for row in received(rows, "audio"))


def packets(rows: list[dict[str, Any]]) -> int:
    """Give the RTP packets received so far, over all tracks."""
    return sum(row["packets"] for row in rows if row["type"] == "inbound-rtp")
