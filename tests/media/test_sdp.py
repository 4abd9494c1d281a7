import contextlib
import time

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from live.media.control import SDP_LIMIT, MediaRefused
from live.media.ice import Passwords
from live.media.negotiation import (
    POOL,
    Local,
    candidates,
    remote_of,
    slots_for,
    take_answer,
    take_publication,
    take_watch,
    write_fragment,
    write_pool_offer,
    write_publication_answer,
    write_watch_answer,
)
from live.media.sdp import TEXT_LIMIT, SdpError, _read, by_quality, read_description, read_fragment
from live.sfu import LOUDEST, STAGE
from tests.media.offers import HOSTILE, hostile

LOCAL = Local(
    Passwords(b"secret").fresh(), "sha-256 " + ":".join(["AB"] * 32), candidates(["192.0.2.1"], 8443)
)

CHROMIUM = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS s
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=ice-options:trickle
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:s a
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=ssrc:1 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 35 36
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:1
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=extmap:13 urn:3gpp:video-orientation
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:103 H264/90000
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1; packetization-mode=1; profile-level-id=42e01f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 transport-cc
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:35 AV1/90000
a=rtpmap:36 rtx/90000
a=fmtp:36 apt=35
a=rid:q send
a=rid:h send
a=rid:f send
a=simulcast:send q;h;f
""".replace("\n", "\r\n")


def test_a_simulcast_offer_is_read_and_answered() -> None:
    offer = read_description(CHROMIUM)
    assert offer.mixed
    video = offer.lines[1]
    assert video.rids == ("q", "h", "f")
    assert {c.name: (c.pt, c.rtx_pt) for c in video.codecs} == {
        "vp8": (96, 97),
        "h264": (103, 104),
        "av1": (35, 36),
    }
    remote = remote_of(offer, offer.lines)
    assert remote.role == "server"
    assert remote.credentials.ufrag == "abcd"
    taken = take_publication(offer)
    assert [c.pt for t in taken for c in t.codecs] == [111, 63, 96]
    answer = read_description(write_publication_answer(offer, taken, LOCAL))
    assert [line.mid for line in answer.lines] == ["0", "1"]
    assert [line.direction for line in answer.lines] == ["recvonly", "recvonly"]
    assert [line.setup for line in answer.lines] == ["passive", "passive"]
    assert answer.lines[1].extensions == video.extensions
    text = write_publication_answer(offer, taken, LOCAL)
    assert "a=simulcast:recv q;h;f" in text
    assert "a=rid:h recv" in text
    assert "a=ice-lite" in text
    assert "192.0.2.1 8443 typ host" in text


def test_h264_comes_first_when_there_is_no_vp8() -> None:
    offer = read_description(CHROMIUM.replace("VP8", "VPX"))
    assert [c.name for t in take_publication(offer) for c in t.codecs] == ["opus", "red", "h264"]


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        (("a=sendonly", "a=recvonly"), "direction", 422),
        (("a=sendonly", "a=inactive"), "no_codec", 422),
        (("m=audio", "m=video"), "too_many_lines", 422),
    ],
)
def test_offers_that_are_not_for_us(change: tuple[str, str], code: str, status: int) -> None:
    with pytest.raises(MediaRefused) as refusal:
        take_publication(read_description(CHROMIUM.replace(*change)))
    assert (refusal.value.code, refusal.value.status) == (code, status)


def test_no_known_codec_is_refused() -> None:
    text = CHROMIUM
    for name in ("opus", "VP8", "H264", "AV1"):
        text = text.replace(name, "weird")
    with pytest.raises(MediaRefused) as refusal:
        take_publication(read_description(text))
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("a=fingerprint:sha-256 AA:BB\r\n", ""), "no_fingerprint"),
        (("a=fingerprint:sha-256", "a=fingerprint:md5"), "no_fingerprint"),
        (("a=ice-ufrag:abcd\r\n", ""), "no_ice"),
        (("a=rtcp-mux\r\n", ""), "no_rtcp_mux"),
        (("a=group:BUNDLE 0 1\r\n", ""), "no_bundle"),
    ],
)
def test_transports_that_cannot_be(change: tuple[str, str], code: str) -> None:
    offer = read_description(CHROMIUM.replace(*change))
    with pytest.raises(MediaRefused) as refusal:
        remote_of(offer, offer.lines)
    assert refusal.value.code == code


def test_the_pool_is_offered_and_an_answer_taken() -> None:
    text = write_pool_offer(LOCAL)
    offer = read_description(text)
    assert [line.mid for line in offer.lines] == [p.mid for p in POOL]
    answer = text.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
    slots = take_answer(read_description(answer))
    assert [slot.follows for slot in slots] == [p.mid for p in POOL]
    assert all(slot.rtx_ssrc for slot in slots if slot.kind == "video")
    less = answer.replace("m=video 9", "m=video 0", 1)
    assert [slot.mid for slot in take_answer(read_description(less))] == [p.mid for p in POOL][1:]
    with pytest.raises(MediaRefused):
        take_answer(read_description(CHROMIUM))


async def test_aiortc_can_answer_the_pool() -> None:
    from aiortc import RTCSessionDescription  # noqa: PLC0415  # beside its use

    viewer = RTCPeerConnection()
    await viewer.setRemoteDescription(RTCSessionDescription(write_pool_offer(LOCAL), "offer"))
    answer = read_description((await viewer.createAnswer()).sdp)
    assert len(answer.lines) == len(POOL)
    await viewer.close()


def test_a_foreign_viewer_sees_the_stage_and_hears_the_loudest() -> None:
    offer = read_description(CHROMIUM.replace("a=sendonly", "a=recvonly"))
    taken = take_watch(offer)
    slots = slots_for(offer, taken)
    assert {(slot.mid, slot.follows) for slot in slots} == {("1", STAGE), ("0", LOUDEST)}
    answer = read_description(write_watch_answer(offer, taken, slots, LOCAL))
    assert [line.direction for line in answer.lines] == ["sendonly", "sendonly"]
    assert answer.lines[1].encodings[0].rtx_ssrc is not None


def test_a_line_that_only_the_bundle_gives_a_port_is_taken() -> None:
    bundled = CHROMIUM.replace("m=video 9", "m=video 0")
    assert not read_description(bundled).lines[1].usable
    offer = read_description(bundled.replace("a=mid:1", "a=mid:1\r\na=bundle-only"))
    taken = take_publication(offer)
    answer = write_publication_answer(offer, taken, LOCAL)
    assert "a=group:BUNDLE 0 1\r\n" in answer
    assert "m=video 9 " in answer


@pytest.mark.parametrize(
    ("listed", "lowest_first"),
    [
        (["q", "h", "f"], ("q", "h", "f")),
        (["h", "m", "l"], ("l", "m", "h")),
        (["0", "1", "2"], ("2", "1", "0")),
        (["best", "worst"], ("worst", "best")),
    ],
)
def test_rids_are_ordered_by_quality(listed: list[str], lowest_first: tuple[str, ...]) -> None:
    assert by_quality(listed) == lowest_first


TOKENS = st.text("abcXYZ0189+/=_-", min_size=22, max_size=40)


@given(st.lists(st.tuples(TOKENS, TOKENS, TOKENS), min_size=2, max_size=4), st.integers(0, 2**63))
def test_descriptions_that_differ_in_their_secrets_are_told_apart(owns, session) -> None:
    """What is remembered of one description never shows in another."""
    for ufrag, pwd, fingerprint in owns:
        text = (
            CHROMIUM.replace("a=ice-ufrag:abcd", f"a=ice-ufrag:{ufrag}")
            .replace("a=ice-pwd:abcdefghijklmnopqrstuvwx", f"a=ice-pwd:{pwd}")
            .replace("a=fingerprint:sha-256 AA:BB", f"a=fingerprint:sha-256 {fingerprint}")
            .replace("o=- 4611731400430051336", f"o=- {session}")
        )
        assert read_description(text) == _read.__wrapped__(text)
        line = read_description(text).lines[0]
        assert line.credentials == (ufrag, pwd)
        assert line.fingerprints == (("sha-256", fingerprint),)


def test_a_remembered_description_does_not_make_bad_secrets_good() -> None:
    read_description(CHROMIUM)
    for bad in ("a=ice-ufrag:!!!!", "a=ice-ufrag:abc", "a=ice-ufrag:"):
        with pytest.raises(SdpError):
            read_description(CHROMIUM.replace("a=ice-ufrag:abcd", bad))
    without = CHROMIUM.replace("a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=x-nothing")
    assert read_description(without).lines[0].credentials is None


def test_fragments_of_a_trickle_and_of_a_restart() -> None:
    trickle = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 5 typ host\r\n"
    assert read_fragment(trickle).credentials is None
    assert len(read_fragment(trickle).candidates) == 1
    restart = read_fragment(write_fragment(LOCAL, "0"))
    assert restart.credentials == LOCAL.credentials
    for bad in ("a=ice-ufrag:abcd", "nonsense", "a=ice-ufrag:x\na=ice-pwd:y", "x" * (SDP_LIMIT + 1)):
        with pytest.raises(SdpError):
            read_fragment(bad)


def _use(text: str) -> None:
    with contextlib.suppress(SdpError):
        read_fragment(text)
    with contextlib.suppress(SdpError, MediaRefused):
        offer = read_description(text)
        taken = take_publication(offer)
        remote_of(offer, [t.line for t in taken if t.codecs])
        read_description(write_publication_answer(offer, taken, LOCAL))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    _use(text)
    _use("v=0\r\n" + text)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_offer_is_read_or_refused(data: st.DataObject) -> None:
    lines = CHROMIUM.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(1, len(lines) - 1))
        line = lines[at]
        cut = data.draw(st.integers(0, len(line)))
        insert = data.draw(st.sampled_from(["", " ", ":", "/", "-1", "99999999999", "\x00", "é", "²"]))
        lines[at] = line[:cut] + insert + line[cut + data.draw(st.integers(0, 3)) :]
        if data.draw(st.booleans()):
            lines.insert(at, lines[data.draw(st.integers(0, len(lines) - 1))])
    _use("\r\n".join(lines))


def test_the_writer_of_the_offer_says_by_the_order_whether_redundancy_is_wanted() -> None:
    preferred = CHROMIUM.replace("SAVPF 111 63 9 0", "SAVPF 63 111 9 0").replace(
        "useinbandfec=1", "useinbandfec=1;usedtx=1;stereo=1"
    )
    for text, order in ((CHROMIUM, "111 63"), (preferred, "63 111")):
        offer = read_description(text)
        answer = write_publication_answer(offer, take_publication(offer), LOCAL)
        assert f"m=audio 9 UDP/TLS/RTP/SAVPF {order}\r\n" in answer
        assert "a=rtpmap:63 red/48000/2\r\n" in answer
        assert "a=fmtp:63 111/111\r\n" in answer
    assert "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1;stereo=1\r\n" in answer


@pytest.mark.parametrize("around", ["111/9", "8/8", "", "abc"])
def test_redundancy_around_something_else_is_not_taken(around: str) -> None:
    offer = read_description(CHROMIUM.replace("a=fmtp:63 111/111", f"a=fmtp:63 {around}"))
    assert [c.name for t in take_publication(offer) for c in t.codecs] == ["opus", "vp8"]


def test_the_pool_gives_a_persons_picture_and_sound_one_stream() -> None:
    """Browsers keep the tracks of one stream together; stereo is left to the publisher (RFC 7587 §6.1)."""
    offer = write_pool_offer(LOCAL)
    for n in range(6):
        assert f"a=msid:seat-{n} v{n}\r\n" in offer
        assert f"a=msid:seat-{n} a{n}\r\n" in offer
    assert "a=msid:seat-screen screen\r\n" in offer
    assert "a=rtpmap:63 red/48000/2\r\n" in offer
    assert "stereo" not in offer
    without_opus = offer.replace("sendonly", "recvonly").replace("SAVPF 111 63", "SAVPF 63")
    slots = take_answer(read_description(without_opus.replace("actpass", "active")))
    assert {slot.kind for slot in slots} == {"video"}


@pytest.mark.parametrize("most", [SDP_LIMIT, TEXT_LIMIT], ids=["bytes", "lines"])
@pytest.mark.parametrize("name", HOSTILE)
def test_asvs_15_2_2_no_description_keeps_the_worker_busy(name: str, most: int) -> None:
    """Whatever the longest descriptions say, it is little work: others' media has to go on meanwhile."""
    text = hostile(name, most)
    _read.cache_clear()
    begun = time.process_time()
    with contextlib.suppress(SdpError):
        read_description(text)
    assert time.process_time() - begun < 0.5


def test_what_is_told_of_feedback_and_candidates_does_not_matter() -> None:
    bare = "".join(line for line in CHROMIUM.splitlines(keepends=True) if not line.startswith("a=rtcp-fb:"))
    assert read_description(bare) == read_description(CHROMIUM)
    assert read_description(CHROMIUM + "a=candidate:1 1 udp 1 192.0.2.9 5 typ host") == read_description(bare)
    assert len(read_description(bare).lines[1].codecs) == 3
    with pytest.raises(SdpError):
        read_description(CHROMIUM + "a=rtpmap:35 AV1/90000\r\n" * 129)
    with pytest.raises(SdpError):
        read_description(CHROMIUM + "a=x-nothing\r\n" * TEXT_LIMIT)
