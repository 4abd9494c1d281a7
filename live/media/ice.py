"""ICE-lite (RFC 8445 §2.5): we answer connectivity checks, never send any, and are always controlled.

A full agent finds the path; we only prove who asks (MESSAGE-INTEGRITY by our password), tell it what address
we saw, and note which address it chose. `Paths` keeps a peer's proven addresses and decides where media goes.
"""

import hashlib
import hmac
import secrets
import socket
import struct
import zlib
from typing import NamedTuple

from aioice import stun

#: An address as the socket gives it: host and port, for IPv6 also flow and scope; then, where the datagram
#: came to one of several sockets, that socket's descriptor; for TCP host, port and the word `tcp`.
Address = (
    tuple[str, int]
    | tuple[str, int, int]
    | tuple[str, int, int, int]
    | tuple[str, int, int, int, int]
    | tuple[str, int, str]
)

#: Proven addresses kept per peer; the oldest silent one gives way.
ADDRESS_LIMIT = 16

#: A check without USE-CANDIDATE, as agents send them once they have nominated, moves media to its address
#: after neither checks nor media came from the chosen one for so long, seconds.
_REBINDING = 2.0

#: Media that SRTP proves moves it to another port after so long: a NAT that forgets a flow changes the port
#: from one packet to the next.
_MOVED = 0.2

_STUN_LIMIT = 1500
_COOKIE = b"\x21\x12\xa4\x42"
_INTEGRITY_BYTES = 24
_FINGERPRINT_BYTES = 8


class StunError(ValueError):
    """The datagram is no STUN message that we understand, or it is not proven."""


class Credentials(NamedTuple):
    """A username fragment and its password (RFC 8839 §5.4)."""

    ufrag: str
    pwd: str


class Passwords:
    """Makes our credentials: a random fragment, and the password that a secret gives it.

    So a worker that has forgotten a peer, or whose predecessor knew it, can still prove that its answer to
    the peer's checks is ours: see `farewell`.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def fresh(self) -> Credentials:
        """New ones: 48 and 144 bits."""
        ufrag = secrets.token_hex(6)
        return Credentials(ufrag, self.of(ufrag))

    def of(self, ufrag: str) -> str:
        """The password of a fragment, ours or not."""
        return hmac.new(self._secret, ufrag.encode(errors="replace"), hashlib.sha256).hexdigest()[:36]


def is_stun(datagram: bytes) -> bool:
    """Tells STUN from DTLS and RTP by the first byte and the cookie (RFC 7983, RFC 8489 §6)."""
    return len(datagram) >= stun.HEADER_LENGTH and datagram[0] < 4 and datagram[4:8] == _COOKIE  # noqa: PLR2004  # RFC 7983's first range


def read_request(datagram: bytes) -> tuple[stun.Message, str]:
    """Reads a Binding request and gives our ufrag out of its USERNAME.

    Raises:
        StunError: it is something else.
    """
    if len(datagram) > _STUN_LIMIT:
        raise StunError("longer than any check")
    try:
        message = stun.parse_message(datagram)
    except (ValueError, struct.error, IndexError, KeyError) as error:
        raise StunError("not a STUN message") from error
    if message.message_class != stun.Class.REQUEST or message.message_method != stun.Method.BINDING:
        raise StunError("not a Binding request")
    username = message.attributes.get("USERNAME", "")
    ufrag, colon, _ = username.partition(":")
    if not colon:
        raise StunError("no USERNAME of two fragments")
    return message, ufrag


class Checked(NamedTuple):
    """What a check deserves: the reply, whether it proves the address, and whether it nominates it."""

    reply: bytes
    proven: bool
    nominated: bool


def check(message: stun.Message, address: Address, password: str) -> Checked:
    """Answers a Binding request (RFC 8445 §7.3).

    Raises:
        StunError: MESSAGE-INTEGRITY is missing or wrong; such a request gets no answer, so that nobody can
            make us talk to an address that did not ask.
    """
    key = password.encode()
    if not message.check_message_integrity(key):
        raise StunError("MESSAGE-INTEGRITY does not match")
    if "ICE-CONTROLLED" in message.attributes:
        return Checked(_error(message, key, 487, "Role Conflict"), proven=False, nominated=False)
    reply = success(message.transaction_id, address, key)
    return Checked(reply, proven=True, nominated="USE-CANDIDATE" in message.attributes)


def success(transaction: bytes, address: Address, key: bytes) -> bytes:
    """Writes a Binding success response with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT.

    Everybody who watches checks the way every few seconds; this costs a tenth of building it piece by piece.
    RFC 8489 §5, §14.2, §14.5 and §14.7.
    """
    host, port = address[0].partition("%")[0], address[1]
    six = ":" in host
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, host)
    mask = _COOKIE + transaction
    masked = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    mapped = struct.pack("!HHBBH", 0x0020, 4 + len(packed), 0, 2 if six else 1, port ^ 0x2112) + masked
    head = struct.pack("!HH", 0x0101, len(mapped) + _INTEGRITY_BYTES) + mask
    integrity = hmac.digest(key, head + mapped, "sha1")
    length = len(mapped) + _INTEGRITY_BYTES + _FINGERPRINT_BYTES
    whole = b"".join(
        (
            struct.pack("!HH", 0x0101, length),
            mask,
            mapped,
            struct.pack("!HH", 0x0008, len(integrity)),
            integrity,
        )
    )
    return whole + struct.pack("!HHI", 0x8028, 4, zlib.crc32(whole) ^ 0x5354554E)


def farewell(message: stun.Message, password: str) -> bytes:
    """Tells a peer that no longer exists here so, by an error that ends its pair at once (RFC 8489 §6.3.4).

    Raises:
        StunError: MESSAGE-INTEGRITY is missing or wrong: it was never ours.
    """
    key = password.encode()
    if not message.check_message_integrity(key):
        raise StunError("MESSAGE-INTEGRITY does not match")
    return _error(message, key, 400, "Gone")


def _error(message: stun.Message, key: bytes, code: int, reason: str) -> bytes:
    error = stun.Message(
        stun.Method.BINDING,
        stun.Class.ERROR,
        transaction_id=message.transaction_id,
        attributes={"ERROR-CODE": (code, reason)},
    )
    error.add_message_integrity(key)
    return bytes(error)


class Changes:
    """Counts what changes about any peer's way out.

    Who remembers where packets go and how they are sealed looks again when the count has moved on: to look at
    each of a thousand viewers for each picture costs a tenth of sending it to them.

    Attributes:
        count: of all peers of this process.
    """

    count = 0


class Paths:
    """A peer's addresses that STUN has proven, and the one that media goes to.

    Attributes:
        chosen: where to send, None before the first check; `Changes` counts with it.
        heard_at: when the last proven check arrived, in the caller's seconds; None before the first.
        spoken_at: when media last came from the chosen address; the caller notes it.
    """

    def __init__(self) -> None:
        self._chosen: Address | None = None
        self.heard_at: float | None = None
        self.spoken_at = float("-inf")
        self._heard: dict[Address, float] = {}

    @property
    def chosen(self) -> Address | None:
        """See the class."""
        return self._chosen

    @chosen.setter
    def chosen(self, address: Address | None) -> None:
        self._chosen = address
        Changes.count += 1

    def note(self, address: Address, *, nominated: bool, now: float) -> Address | None:
        """Notes a proven check; gives the address that had to be forgotten for it, if any."""
        chosen = self.chosen
        silent = chosen is None or now - max(self._heard.get(chosen, now), self.spoken_at) > _REBINDING
        self.heard_at = now
        if (nominated or silent) and address != chosen:
            self.chosen = address
        return self._keep(address, now)

    def moved(self, address: Address, now: float) -> tuple[bool, Address | None]:
        """Notes media that SRTP proves to be the peer's, from an address that no check has proven yet.

        As good a proof as a check's, which can be carried here from elsewhere just as well, and again and
        again. Media follows it only within one host, as behind a NAT, and only from a chosen address that is
        silent. Consent is not renewed by it: without checks the peer ends as before.

        Returns:
            Whether media goes there now, and an address that had to be forgotten for it.
        """
        chosen = self.chosen
        if chosen is None or (chosen[0], *chosen[2:]) != (address[0], *address[2:]):
            return False, None
        if now - max(self._heard.get(chosen, self.spoken_at), self.spoken_at) <= _MOVED:
            return False, None
        self.chosen, self.spoken_at = address, now
        return True, self._keep(address, now)

    def _keep(self, address: Address, now: float) -> Address | None:
        """Remembers an address; gives the one that had to go for it."""
        self._heard[address] = now
        if len(self._heard) <= ADDRESS_LIMIT:
            return None
        oldest = min((a for a in self._heard if a != self.chosen), key=self._heard.__getitem__)
        del self._heard[oldest]
        return oldest

    def addresses(self) -> list[Address]:
        """All that are proven now."""
        return list(self._heard)
