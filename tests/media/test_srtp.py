import contextlib

import pylibsrtp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy

from live.media.srtp import DATAGRAM_LIMIT, SOURCES, Srtp, SrtpError, SrtpKeys

PROFILES = [
    Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
]


def _pair(profile: int) -> tuple[Srtp, Srtp]:
    one, two = bytes(range(46)), bytes(range(100, 146))
    return Srtp(SrtpKeys(profile, one, two)), Srtp(SrtpKeys(profile, two, one))


def test_the_private_names_we_lean_on_are_where_they_were() -> None:
    assert hasattr(pylibsrtp, "_binding")
    assert hasattr(pylibsrtp.Session(), "_srtp")
    for name in ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"):
        assert hasattr(pylibsrtp._binding.lib, name), name


@pytest.mark.parametrize("profile", PROFILES)
def test_what_one_side_seals_the_other_opens(profile: int) -> None:
    near, far = _pair(profile)
    rtp = bytes([0x80, 111, 0, 7]) + bytes(8) + b"sound" * 200
    assert bytes(far.unprotect(bytes(near.protect(rtp)))) == rtp
    rtcp = bytes([0x80, 201, 0, 1, 0, 0, 0, 5])
    assert bytes(far.unprotect_rtcp(bytes(near.protect_rtcp(rtcp)))) == rtcp


def _rtp(ssrc: int, sequence: int) -> bytes:
    return bytes((0x80, 111)) + sequence.to_bytes(2) + bytes(4) + ssrc.to_bytes(4) + b"sound"


def _rtcp(ssrc: int) -> bytes:
    return bytes((0x80, 201, 0, 1)) + ssrc.to_bytes(4)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_peer_with_ever_new_ssrcs_is_heard_under_its_first_ones_only(profile: int) -> None:
    near, far = _pair(profile)
    opened = []
    for ssrc in range(10_000):
        with contextlib.suppress(SrtpError):
            opened.append(bytes(far.unprotect(bytes(near.protect(_rtp(ssrc, 1))))))
        with contextlib.suppress(SrtpError):
            opened.append(bytes(far.unprotect_rtcp(bytes(near.protect_rtcp(_rtcp(ssrc))))))
    assert len(opened) == 2 * SOURCES
    assert [len(proven) for proven in far._proven] == [SOURCES, SOURCES]
    for ssrc in range(SOURCES):
        assert bytes(far.unprotect(bytes(near.protect(_rtp(ssrc, 2))))) == _rtp(ssrc, 2)
        assert bytes(far.unprotect_rtcp(bytes(near.protect_rtcp(_rtcp(ssrc))))) == _rtcp(ssrc)


def test_forged_packets_use_up_no_ssrcs() -> None:
    near, far = _pair(PROFILES[0])
    for ssrc in range(2 * SOURCES):
        for forged, call in ((_rtp(ssrc, 1), far.unprotect), (_rtcp(ssrc), far.unprotect_rtcp)):
            with pytest.raises(SrtpError):
                call(forged + bytes(20))
    assert far._proven == (set(), set())
    assert bytes(far.unprotect(bytes(near.protect(_rtp(9000, 1))))) == _rtp(9000, 1)


def test_what_is_too_long_is_refused() -> None:
    near, _ = _pair(PROFILES[0])
    with pytest.raises(SrtpError):
        near.protect(bytes([0x80, 111]) + bytes(DATAGRAM_LIMIT))


@settings(max_examples=200)
@given(st.binary(max_size=DATAGRAM_LIMIT + 10))
def test_any_bytes_are_refused_or_opened(data: bytes) -> None:
    near, _ = _pair(PROFILES[0])
    for call in (near.unprotect, near.unprotect_rtcp, near.protect, near.protect_rtcp):
        with contextlib.suppress(SrtpError):
            assert call(data) is not None
