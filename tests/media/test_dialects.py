"""Every publisher's and player's way to write an offer gets the answer that it understands."""

import pytest

from live.media.control import MediaRefused
from live.media.ice import Passwords
from live.media.negotiation import (
    ONE_OF_EACH,
    Local,
    candidates,
    remote_of,
    slots_for,
    take_answer,
    take_publication,
    take_watch,
    write_pool_offer,
    write_publication_answer,
    write_watch_answer,
)
from live.media.sdp import RID_LIMIT, read_description
from live.sfu import LOUDEST, STAGE
from tests.media.offers import FIREFOX, GSTREAMER, OBS, OBS_SIMULCAST, PLAIN_CHROMIUM, PUBLISHERS, player

LOCAL = Local(
    Passwords(b"secret").fresh(),
    "sha-256 " + ":".join(["AB"] * 32),
    candidates(["192.0.2.1"], 8443, tcp=True),
)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("name", PUBLISHERS)
def test_a_publishers_offer_is_understood_and_answered(name, ends):
    text, expected = PUBLISHERS[name]
    offer = read_description(text.replace("\n", ends))
    taken = take_publication(offer)
    assert [
        (
            t.line.kind,
            t.codecs[0].name,
            t.codecs[0].pt,
            t.codecs[0].rtx_pt,
            tuple(e.ssrc for e in t.line.encodings),
            len(t.line.rids),
        )
        for t in taken
    ] == expected
    remote = remote_of(offer, [t.line for t in taken])
    assert remote.credentials.ufrag == "f0xy"
    assert remote.role == ("client" if name == "ffmpeg" else "server")
    answer = write_publication_answer(offer, taken, LOCAL)
    read = read_description(answer)
    assert [line.mid for line in read.lines] == [line.mid for line in offer.lines]
    assert {line.direction for line in read.lines} == {"recvonly"}
    assert {line.setup for line in read.lines} == {"active" if name == "ffmpeg" else "passive"}
    assert not any(line.rejected for line in read.lines)
    assert answer.count("a=rtcp-mux-only") == len(offer.lines)


@pytest.mark.parametrize("direction", ["recvonly", "sendrecv"])
@pytest.mark.parametrize("text", [PLAIN_CHROMIUM, FIREFOX, GSTREAMER], ids=["chromium", "firefox", "gst"])
def test_a_player_gets_one_stream_of_picture_and_sound(text, direction):
    offer = read_description(player(text, direction))
    taken = take_watch(offer)
    slots = slots_for(offer, taken)
    assert {slot.follows for slot in slots} == {STAGE, LOUDEST}
    answer = write_watch_answer(offer, taken, slots, LOCAL)
    assert {line.direction for line in read_description(answer).lines} == {"sendonly"}
    streams = [line for line in answer.splitlines() if line.startswith("a=msid:")]
    assert len({line.split()[0] for line in streams}) == 1


def test_layers_are_agreed_to_in_the_publishers_order_and_not_without_end():
    offer = read_description(OBS_SIMULCAST)
    assert offer.lines[1].rids == ("2", "1", "0")
    answer = write_publication_answer(offer, take_publication(offer), LOCAL)
    assert "a=rid:2 recv\r\na=rid:1 recv\r\na=rid:0 recv\r\na=simulcast:recv 2;1;0" in answer
    many = "\n".join(f"a=rid:r{n} send" for n in range(40))
    listed = ";".join(f"r{n}" for n in range(40))
    flooded = OBS.replace("a=rtpmap:96", f"{many}\na=simulcast:send {listed}\na=rtpmap:96")
    assert len(read_description(flooded).lines[1].rids) == RID_LIMIT


@pytest.mark.parametrize("lost", ["opus", "H264"])
def test_a_publisher_with_one_line_that_cannot_be_carried_is_refused_whole(lost):
    with pytest.raises(MediaRefused) as refusal:
        take_publication(read_description(OBS.replace(lost, "weird")))
    assert (refusal.value.code, refusal.value.status) == ("no_codec", 422)


def test_credentials_may_stand_at_the_session_or_in_the_sections():
    inside = read_description(PLAIN_CHROMIUM)
    head, rest = PLAIN_CHROMIUM.split("m=audio", 1)
    lines = [line for line in PLAIN_CHROMIUM.splitlines() if line.startswith(("a=ice-", "a=fingerprint"))]
    for line in set(lines):
        rest = rest.replace(line + "\n", "")
    outside = read_description(head + "\n".join(dict.fromkeys(lines)) + "\nm=audio" + rest)
    assert remote_of(outside, outside.lines) == remote_of(inside, inside.lines)


def test_a_counter_offer_of_one_picture_and_one_sound_is_answered():
    text = write_pool_offer(LOCAL, ONE_OF_EACH)
    assert [line.kind for line in read_description(text).lines] == ["video", "audio"]
    answer = text.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
    slots = take_answer(read_description(answer), ONE_OF_EACH)
    assert [slot.follows for slot in slots] == [STAGE, LOUDEST]
    with pytest.raises(MediaRefused):
        take_answer(read_description(answer))
