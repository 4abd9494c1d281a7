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
_FINGERPRINT_MASK = 0x5354554E
_PAIR = struct.Struct("!HH")
"""A message's or an attribute's type and length."""
_MAPPED = struct.Struct("!HHBBH")
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_USERNAME, _MESSAGE_INTEGRITY, _XOR_MAPPED_ADDRESS, _USE_CANDIDATE = 0x0006, 0x0008, 0x0020, 0x0025
_FINGERPRINT, _ICE_CONTROLLED = 0x8028, 0x8029


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


class BindingRequest(NamedTuple):
    """A Binding request, as far as a lite agent has to know it.

    Attributes:
        transaction: its id, 12 bytes.
        ufrag: our fragment, out of USERNAME.
        signed: what MESSAGE-INTEGRITY speaks for, empty if there is none.
        integrity: what it says.
        controlled: the peer takes us for the controlling side.
        nominates: it has USE-CANDIDATE.
    """

    transaction: bytes
    ufrag: str
    signed: bytes
    integrity: bytes
    controlled: bool
    nominates: bool

    def is_proven(self, key: bytes) -> bool:
        """Whether who asks knows the password (RFC 8489 §14.5)."""
        return bool(self.signed) and hmac.compare_digest(
            self.integrity, hmac.digest(key, self.signed, "sha1")
        )


def read_request(datagram: bytes) -> BindingRequest:
    """Reads a Binding request; a library that reads all of STUN takes twice as long for what comes so often.

    Of two attributes of a kind the first counts, and what stands behind MESSAGE-INTEGRITY is not proven by it
    and not looked at, except FINGERPRINT, which ends the message (RFC 8489 §14).

    Raises:
        StunError: it is something else.
    """
    if not stun.HEADER_LENGTH <= len(datagram) <= _STUN_LIMIT:
        raise StunError("no check has such a length")
    kind, length = _PAIR.unpack_from(datagram)
    if kind != _BINDING_REQUEST or length != len(datagram) - stun.HEADER_LENGTH:
        raise StunError("not a Binding request")
    found, signed = _attributes(datagram)
    ufrag, colon, _ = found.get(_USERNAME, b"").partition(b":")
    if not colon or not ufrag.isascii():
        raise StunError("no USERNAME of two fragments")
    return BindingRequest(
        datagram[8 : stun.HEADER_LENGTH],
        ufrag.decode(),
        signed,
        found.get(_MESSAGE_INTEGRITY, b""),
        _ICE_CONTROLLED in found,
        _USE_CANDIDATE in found,
    )


def _attributes(datagram: bytes) -> tuple[dict[int, bytes], bytes]:
    """The attributes as far as MESSAGE-INTEGRITY, and what that speaks for, empty if there is none."""
    found: dict[int, bytes] = {}
    signed = b""
    at, size = stun.HEADER_LENGTH, len(datagram)
    while at + 4 <= size:
        kind, length = _PAIR.unpack_from(datagram, at)
        end = at + 4 + length
        if end > size:
            raise StunError("an attribute reaches beyond the message")
        if kind == _FINGERPRINT:
            if datagram[at + 4 : end] != (zlib.crc32(datagram[:at]) ^ _FINGERPRINT_MASK).to_bytes(4):
                raise StunError("FINGERPRINT does not match")
            break
        if not signed:
            found.setdefault(kind, datagram[at + 4 : end])
            if kind == _MESSAGE_INTEGRITY:
                until = at + _INTEGRITY_BYTES - stun.HEADER_LENGTH
                signed = datagram[:2] + until.to_bytes(2) + datagram[4:at]
        at = end + (-length & 3)
    return found, signed


class Checked(NamedTuple):
    """What a check deserves: the reply, whether it proves the address, and whether it nominates it."""

    reply: bytes
    proven: bool
    nominated: bool


def check(request: BindingRequest, address: Address, password: str) -> Checked:
    """Answers a Binding request (RFC 8445 §7.3).

    Raises:
        StunError: MESSAGE-INTEGRITY is missing or wrong; such a request gets no answer, so that nobody can
            make us talk to an address that did not ask.
    """
    key = password.encode()
    if not request.is_proven(key):
        raise StunError("MESSAGE-INTEGRITY does not match")
    if request.controlled:
        return Checked(_error(request, key, 487, "Role Conflict"), proven=False, nominated=False)
    return Checked(success(request.transaction, address, key), proven=True, nominated=request.nominates)


def success(transaction: bytes, address: Address, key: bytes) -> bytes:
    """Writes a Binding success response with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT.

    Everybody who watches checks the way every few seconds; this costs a tenth of building it piece by piece.
    RFC 8489 §5, §14.2, §14.5 and §14.7.
    """
    host, port = address[0].partition("%")[0], address[1]
    six = ":" in host
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, host)
    mask = _COOKIE + transaction
    size = len(packed)
    masked = (int.from_bytes(packed) ^ int.from_bytes(mask[:size])).to_bytes(size)
    mapped = _MAPPED.pack(_XOR_MAPPED_ADDRESS, 4 + size, 0, 2 if six else 1, port ^ 0x2112) + masked
    rest = mask + mapped
    length = len(mapped) + _INTEGRITY_BYTES
    integrity = hmac.digest(key, _PAIR.pack(_BINDING_SUCCESS, length) + rest, "sha1")
    whole = _PAIR.pack(_BINDING_SUCCESS, length + _FINGERPRINT_BYTES) + rest
    whole += _PAIR.pack(_MESSAGE_INTEGRITY, len(integrity)) + integrity
    return whole + _PAIR.pack(_FINGERPRINT, 4) + (zlib.crc32(whole) ^ _FINGERPRINT_MASK).to_bytes(4)


def farewell(request: BindingRequest, password: str) -> bytes:
    """Tells a peer that no longer exists here so, by an error that ends its pair at once (RFC 8489 §6.3.4).

    Raises:
        StunError: MESSAGE-INTEGRITY is missing or wrong: it was never ours.
    """
    key = password.encode()
    if not request.is_proven(key):
        raise StunError("MESSAGE-INTEGRITY does not match")
    return _error(request, key, 400, "Gone")


def _error(request: BindingRequest, key: bytes, code: int, reason: str) -> bytes:
    error = stun.Message(
        stun.Method.BINDING,
        stun.Class.ERROR,
        transaction_id=request.transaction,
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
