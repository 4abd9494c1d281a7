"""What RFC 6455 and RFC 7692 forbid ends the connection that does it, with its code, and hurts nobody else.

OWASP ASVS 5.0 4.4.1 and 17.3.2.
"""

import os

import pytest

from tests.gateway.test_bad_input import HELLO, still_hears
from tests.kit.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket, deflated, frame
from tests.kit.rooms import gateway

SAID = b'{"t":"ping","at":1}'
ZEROS = bytes(16_000_000)
PROTOCOL, TEXTLESS, TOO_BIG, OURS = {1002}, {1007}, {1009}, {4501}
NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong euro sign": b"\xf0\x82\x82\xac",
    "an overlong null": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut in the middle": "円".encode()[:2],
    "a byte that never occurs": b"\xff",
    "a byte order mark of UTF-16": b"\xfe\xff",
    "five bytes": b"\xf8\x88\x80\x80\x80",
}
PLAIN = {
    "not masked": (frame(TEXT, SAID, masked=False), PROTOCOL),
    "a ping not masked": (frame(PING, masked=False), PROTOCOL),
    **{f"reserved bit {bit}": (frame(TEXT, SAID, rsv=bit), PROTOCOL) for bit in (1, 2, 4, 7)},
    "a reserved bit on a ping": (frame(PING, rsv=4), PROTOCOL),
    **{f"opcode {n}": (frame(n, SAID), PROTOCOL) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"control {n} in fragments": (frame(n, b"x", fin=False), PROTOCOL) for n in (PING, PONG, CLOSE)},
    **{f"control {n} too long": (frame(n, bytes(126)), PROTOCOL) for n in (PING, PONG, CLOSE)},
    "a continuation of nothing": (frame(CONTINUATION, SAID), PROTOCOL),
    "an open continuation of nothing": (frame(CONTINUATION, SAID, fin=False), PROTOCOL),
    "text within text": (frame(TEXT, SAID, fin=False) + frame(TEXT, SAID), PROTOCOL),
    "binary within text": (frame(TEXT, SAID, fin=False) + frame(BINARY, SAID), PROTOCOL),
    "a length of 2^63": (frame(TEXT, SAID, length=1 << 63), PROTOCOL | TOO_BIG),
    "a terabyte announced": (frame(TEXT, SAID, length=1 << 40), TOO_BIG),
    "a byte too many": (frame(TEXT, b" " * 65_537), TOO_BIG),
    "a byte too many in binary": (frame(BINARY, b" " * 65_537), TOO_BIG),
    "too much in two fragments": (
        frame(TEXT, b" " * 40_000, fin=False) + frame(CONTINUATION, b" " * 40_000),
        TOO_BIG,
    ),
    "too much in a thousand fragments": (
        frame(TEXT, b" " * 70, fin=False) + 999 * frame(CONTINUATION, b" " * 70, fin=False),
        TOO_BIG,
    ),
    "larger than a command": (frame(TEXT, SAID + b" " * 20_000), OURS),
    "an empty text": (frame(TEXT), OURS),
    "an empty binary": (frame(BINARY), OURS),
    "an empty text in two fragments": (frame(TEXT, fin=False) + frame(CONTINUATION), OURS),
    "a second hello": (frame(TEXT, HELLO.encode()), OURS),
    "a null character": (frame(TEXT, b"\x00"), OURS),
    **{
        f"close with {code}": (frame(CLOSE, code.to_bytes(2, "big")), PROTOCOL)
        for code in (0, 999, 1005, 1006)
    },
    **{
        f"close by {code}": (frame(CLOSE, code.to_bytes(2, "big")), PROTOCOL) for code in (1004, 1015, 65_535)
    },
    "close with half a code": (frame(CLOSE, b"\x03"), PROTOCOL),
    "close with words that are none": (frame(CLOSE, b"\x03\xe8\xff\xfe"), TEXTLESS | PROTOCOL),
    **{name: (frame(TEXT, data), TEXTLESS) for name, data in NOT_UTF8.items()},
    "a bad byte in the second fragment": (
        frame(TEXT, b'{"t":"', fin=False) + frame(CONTINUATION, b"\xff"),
        TEXTLESS,
    ),
    "noise": (os.urandom(4096), PROTOCOL | TEXTLESS | TOO_BIG | OURS),
    # And what is allowed, however odd, is answered.
    "a fragment per byte": (
        frame(TEXT, SAID[:1], fin=False)
        + b"".join(frame(CONTINUATION, SAID[n : n + 1], fin=False) for n in range(1, len(SAID)))
        + frame(CONTINUATION),
        {"pong"},
    ),
    "a ping between fragments": (
        frame(TEXT, SAID[:7], fin=False) + frame(PING, b"x") + frame(CONTINUATION, SAID[7:]),
        {"pong"},
    ),
    "a pong nobody asked for": (frame(PONG, b"x") + frame(TEXT, SAID), {"pong"}),
    "a hundred pings": (100 * frame(PING, bytes(125)) + frame(TEXT, SAID), {"pong"}),
}
DEFLATED = {
    "compressed": (frame(TEXT, deflated(SAID), rsv=4), {"pong"}),
    "not compressed although it might": (frame(TEXT, SAID), {"pong"}),
    "a bomb": (frame(TEXT, deflated(ZEROS), rsv=4), TOO_BIG),
    "a bomb in binary": (frame(BINARY, deflated(ZEROS), rsv=4), TOO_BIG),
    "a bomb in fragments": (
        frame(TEXT, deflated(ZEROS)[:1000], fin=False, rsv=4) + frame(CONTINUATION, deflated(ZEROS)[1000:]),
        TOO_BIG,
    ),
    "not deflate": (frame(TEXT, b"\xff" * 40, rsv=4), PROTOCOL | TEXTLESS),
    "bad UTF-8 inside": (frame(TEXT, deflated(b"\xff"), rsv=4), TEXTLESS),
    "marked on a continuation": (
        frame(TEXT, deflated(SAID)[:5], fin=False, rsv=4) + frame(CONTINUATION, deflated(SAID)[5:], rsv=4),
        PROTOCOL,
    ),
    "marked on a ping": (frame(PING, b"x", rsv=4), PROTOCOL),
    "deep JSON": (frame(TEXT, deflated(b"[" * 16_000), rsv=4), OURS),
}
CUT = {
    "half a head": frame(TEXT, SAID)[:1],
    "half a key": frame(TEXT, SAID)[:4],
    "half a payload": frame(TEXT, SAID)[:-5],
    "an open message": frame(TEXT, SAID, fin=False),
    "nothing": b"",
}


@pytest.fixture
async def node(tmp_path):
    async with gateway(tmp_path) as node:
        yield node


async def greeted(node, session, *, deflate=False, inside=False):
    """A client that has said hello, and that is in the room if it has to be `inside`."""
    eve = await RawSocket.open(node.port, f"/rooms/{session}/socket", deflate=deflate)
    eve.send(frame(TEXT, HELLO.encode()))
    while inside and b'"t":"snapshot"' not in (await eve.read())[1]:
        pass
    return eve


@pytest.mark.parametrize("inside", [False, True])
async def test_asvs_17_3_2_forbidden_frames_end_their_own_connection_only(node, inside):
    session = await node.session()
    async with (
        node.viewer(session, "attendee:canary") as canary,
        node.viewer(session, "moderator:mio") as mio,
    ):
        for cases, deflate in ((PLAIN, False), (DEFLATED, True)):
            for name, (data, expected) in cases.items():
                eve = await greeted(node, session, deflate=deflate, inside=inside)
                eve.send(data)
                assert await eve.verdict() in expected, name
                eve.abort()
            await still_hears(canary, mio)
        for data in CUT.values():
            eve = await greeted(node, session, inside=inside)
            eve.send(data)
            eve.abort()
        await still_hears(canary, mio)
        assert canary.snapshots == 1


async def test_asvs_17_3_2_forbidden_frames_before_the_greeting_too(node):
    session = await node.session()
    for name in ("not masked", "opcode 3", "a terabyte announced", "a byte that never occurs"):
        data, expected = PLAIN[name]
        eve = await RawSocket.open(node.port, f"/rooms/{session}/socket")
        eve.send(data)
        assert await eve.verdict() in expected, name
        eve.abort()
