"""Addresses of STUN and TURN servers as browsers take them (RFC 7064, RFC 7065)."""

import re
from typing import Literal, NamedTuple

_FORM = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)

#: Ports without TLS and with it (RFC 8656 §18).
_PORT, _TLS_PORT = 3478, 5349

_LAST_PORT = 65535


class IceUrl(NamedTuple):
    """One server.

    Attributes:
        relays: it is a TURN server; else it only tells addresses (STUN).
        secure: it is spoken to over TLS.
        host: a name or an address, an IPv6 one without its brackets.
        port: the written one, or the scheme's.
        transport: how it is reached; `turns` is TLS over TCP.
    """

    relays: bool
    secure: bool
    host: str
    port: int
    transport: Literal["udp", "tcp"]


def read_ice_url(text: str) -> IceUrl:
    """Reads one address.

    Raises:
        ValueError: a browser would refuse it, and with it all media: it must look like
            `turn:host:port?transport=udp`, where port and transport may be missing.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no address like turn:turn.example.org:3478?transport=udp")
    scheme, relays = found["scheme"], found["scheme"].startswith("turn")
    if found["transport"] and not relays:
        raise ValueError(f"{text!r}: only turn: and turns: take ?transport=")
    secure = scheme.endswith("s")
    port = int(found["port"] or (_TLS_PORT if secure else _PORT))
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"{text!r}: there is no port {port}")
    transport: Literal["udp", "tcp"] = "tcp" if secure or found["transport"] == "tcp" else "udp"
    if secure and found["transport"] == "udp":
        raise ValueError(f"{text!r}: TLS goes over tcp here, not udp")
    return IceUrl(relays, secure, found["host"].strip("[]"), port, transport)
