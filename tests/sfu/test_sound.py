"""Sound with redundancy (RFC 2198), for viewers who take it and viewers who do not."""

from __future__ import annotations

from live.sfu import Codec, Encoding, PublicationSpec, Router, Slot
from live.sfu.payloads import Red
from live.sfu.rtp import Rtp, parse_rtp, write_rtp

OPUS, RED = Codec("opus", 48000, 109), Codec("red", 48000, 63, None, {"109/109": ""})
FOR_VIEWERS = (Codec("opus", 48000, 111), Codec("red", 48000, 64, None, {"111/111": ""}))


def red(older: bytes, newer: bytes, pt: int = 109) -> bytes:
    head = bytes((0x80 | pt, 960 >> 6, (960 & 0x3F) << 2 | len(older) >> 8, len(older) & 0xFF, pt))
    return head + older + newer


def heard(packets) -> dict[str, list[Rtp]]:
    """What two viewers get of (payload type, payload) packets; one of them takes no RED."""
    router: Router[str] = Router()
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted={}, veiled=False, now=1.0)
    spec = PublicationSpec("p", "ann", "microphone", "audio", {63: RED, 109: OPUS}, (Encoding(1000),))
    router.publish("ann", spec, 1.0)
    for name, codecs in (("bob", FOR_VIEWERS), ("cid", FOR_VIEWERS[:1])):
        router.watch(name, name, False, (Slot("a0", "audio", 7000, None, codecs, {}, "a0"),), 1.0)
    for n, (pt, payload) in enumerate(packets):
        rtp = Rtp(marker=0, pt=pt, sequence=n, timestamp=960 * n, ssrc=1000, extensions={}, payload=payload)
        router.receive_rtp("ann", write_rtp(rtp), 1.0 + n / 50)
    got: dict[str, list[Rtp]] = {"bob": [], "cid": []}
    for fanout in router.drain().fanouts:
        for peer, header in fanout.headers:
            got[peer].append(parse_rtp(header + fanout.body))
    return got


def test_redundancy_goes_through_or_is_taken_off():
    words = [f"word {n}".encode() for n in range(6)]
    got = heard([(63, red(words[n - 1], words[n])) for n in range(1, 6)])
    assert [rtp.pt for rtp in got["bob"]] == [64] * 5
    assert [Red(rtp.payload).blocks for rtp in got["bob"]] == [[111, 111]] * 5
    assert [rtp.payload for rtp in got["bob"]] == [red(words[n - 1], words[n], 111) for n in range(1, 6)]
    assert [rtp.pt for rtp in got["cid"]] == [111] * 5
    assert [rtp.payload for rtp in got["cid"]] == words[1:]
    for packets in got.values():
        assert [rtp.sequence for rtp in packets] == [1, 2, 3, 4, 5]


def test_plain_packets_between_are_no_change_of_codec():
    """Encoders send them so when the redundancy would not fit, or in silence (DTX)."""
    got = heard([(63, red(b"a", b"b")), (109, b"c"), (63, red(b"c", b"d")), (109, b"e")])
    assert [(rtp.pt, rtp.sequence) for rtp in got["bob"]] == [(64, 1), (111, 2), (64, 3), (111, 4)]
    assert [rtp.payload for rtp in got["cid"]] == [b"b", b"c", b"d", b"e"]


def test_broken_redundancy_is_left_out_without_a_hole():
    strange = red(b"a", b"b", pt=8)
    got = heard([(109, b"a"), (63, b"\xef"), (63, strange), (63, b""), (109, b"b")])
    assert [(rtp.payload, rtp.sequence) for rtp in got["cid"]] == [(b"a", 1), (b"b", 2)]
