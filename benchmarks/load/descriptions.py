"""The SDP of the load client: a speaker's offer, and a viewer's answer to any server's offer."""

from __future__ import annotations

from dataclasses import dataclass

from live.sfu.contract import AUDIO_LEVEL, MID, TRANSPORT_CC

AUDIO_SSRC, VIDEO_SSRC = 0x0A0A0A0A, 0x0B0B0B0B
OPUS, VP8 = 111, 96
EXTENSIONS = {MID: 1, AUDIO_LEVEL: 2, TRANSPORT_CC: 3}


@dataclass(frozen=True)
class Side:
    """One end of a transport as a description tells it."""

    ufrag: str
    pwd: str
    fingerprint: str
    address: tuple[str, int]


def _transport(side: Side) -> list[str]:
    host, port = side.address
    return [
        f"a=ice-ufrag:{side.ufrag}",
        f"a=ice-pwd:{side.pwd}",
        f"a=fingerprint:sha-256 {side.fingerprint}",
        "a=setup:active",
        f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
        "a=end-of-candidates",
    ]


def offer(side: Side) -> str:
    """A speaker's: Opus and VP8 with what Chromium asks for."""
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=msid-semantic: WMS *",
    ]
    formats = {
        "audio": (OPUS, "opus/48000/2", AUDIO_SSRC, ["transport-cc"]),
        "video": (VP8, "VP8/90000", VIDEO_SSRC, ["transport-cc", "ccm fir", "nack", "nack pli"]),
    }
    for mid, (kind, (pt, codec, ssrc, feedback)) in enumerate(formats.items()):
        lines += [f"m={kind} 9 UDP/TLS/RTP/SAVPF {pt}", "c=IN IP4 0.0.0.0", *_transport(side), f"a=mid:{mid}"]
        lines += [f"a=extmap:{n} {uri}" for uri, n in EXTENSIONS.items() if kind == "audio" or n != 2]
        lines += ["a=sendonly", "a=rtcp-mux", "a=rtcp-rsize", f"a=rtpmap:{pt} {codec}"]
        lines += [f"a=rtcp-fb:{pt} {what}" for what in feedback]
        lines += [f"a=msid:load {kind}", f"a=ssrc:{ssrc} cname:load"]
    return "\r\n".join([*lines, ""])


_THEIRS = (
    "a=candidate",
    "a=end-of",
    "a=ice-",
    "a=fingerprint",
    "a=setup",
    "a=ssrc",
    "a=msid:",
    "a=rid",
    "a=simulcast",
)


def answer(offered: str, side: Side) -> str:
    """Takes every line and every format of an offer."""
    lines = []
    for line in offered.splitlines():
        if line.startswith("a=mid:"):
            lines += [line, *_transport(side)]
        elif line == "a=sendonly":
            lines.append("a=recvonly")
        elif line and not line.startswith(_THEIRS):
            lines.append(line)
    return "\r\n".join([*lines, ""])


def remote(description: str) -> Side:
    """The server's side: its credentials and its first UDP candidate."""
    found: dict[str, str] = {}
    address = None
    for line in description.splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name, value)
        parts = value.split()
        if name == "a=candidate" and address is None and parts[2].lower() == "udp" and ":" not in parts[4]:
            address = (parts[4], int(parts[5]))
    if address is None:
        raise ValueError("the server's description has no UDP candidate")
    return Side(found["a=ice-ufrag"], found["a=ice-pwd"], found["a=fingerprint"].split()[-1], address)
