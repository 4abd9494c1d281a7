"""Tickets: who may enter which session as what, signed by the server.

A *link ticket* is what a link carries. A personal one names its person; a shared one (the four links of a
session) names nobody, and everyone who enters by it becomes a new person. A *seat* is what the browser's
cookie holds after
entering: always a person. A *socket ticket* opens one WebSocket, once, within 30 s. The three purposes have
    keys of their own, so that one can never pass for another.

The text form is `payload.signature`, both base64url, HMAC-SHA256 by itsdangerous over a canonical JSON
array; exactly one text is valid for given claims. OWASP ASVS 5.0: 9.1.1-3, 9.2.1-3.
"""

import hashlib
import hmac
from typing import Literal

import itsdangerous
import msgspec
from itsdangerous.encoding import base64_decode, base64_encode

from rooms import Role

SOCKET_SECONDS = 30
LONGEST = 1024

Purpose = Literal["link", "seat", "socket"]


class BadTicket(Exception):  # noqa: N818 - an answer, not a fault
    """The ticket is forged, for another purpose, expired or not ours; its bearer is told nothing more."""


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a ticket says.

    Attributes:
        session: id of the session it opens.
        role: role that its bearer has in that session.
        generation: the session's link generation it was made under; raising the session's revokes it.
        expires: Unix time in seconds after which it is void.
        person: person id, or None for a shared link.
        id: a random id that makes a personal or one-time ticket the only one of its text, else empty.
        registered: the person came by a personal ticket, so needs no knock.
    """

    session: str
    role: Role
    generation: int
    expires: int
    person: str | None = None
    id: str = ""
    registered: bool = False


class Tickets:
    """Signs and reads tickets under keys derived from one secret of the store.

    Args:
        secret: at least 32 random bytes, the same for every server of one store.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:  # noqa: PLR2004 - half of SHA-256's block, said in the docstring
            raise ValueError("the tickets' secret must have 32 bytes")
        self._signers = {
            purpose: itsdangerous.Signer(
                secret, salt=f"madoi.ticket.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256
            )
            for purpose in ("link", "seat", "socket")
        }
        self._resource_key = hmac.digest(secret, b"madoi.resource", "sha256")
        self._person_key = hmac.digest(secret, b"madoi.person", "sha256")

    def sign(self, purpose: Purpose, claims: Claims) -> str:
        """Return the ticket's text."""
        payload = base64_encode(msgspec.json.encode(claims))
        return self._signers[purpose].sign(payload).decode()

    def read(self, purpose: Purpose, text: str, now: float) -> Claims:
        """Return what a ticket says.

        Args:
            purpose: the only purpose it may have.
            text: as it came from outside.
            now: Unix time in seconds.

        Raises:
            BadTicket: it is not one of ours for this purpose, or its time is over.
        """
        if len(text) > LONGEST:
            raise BadTicket
        try:
            payload = self._signers[purpose].unsign(text)
            claims = msgspec.json.decode(base64_decode(payload), type=Claims)
        except (itsdangerous.BadData, msgspec.DecodeError, UnicodeError, ValueError) as error:
            raise BadTicket from error
        if (
            self.sign(purpose, claims) != text
        ):  # base64 has several texts for the same bytes: only ours passes
            raise BadTicket
        if claims.expires <= now:
            raise BadTicket
        return claims

    def proof(self, session: str, person: str, resource: str) -> str:
        """Return what shows that a media resource is this person's; its address carries it."""
        return _name(self._resource_key, session, person, resource)

    def person_of(self, ticket: str) -> str:
        """Return the person that a shared ticket stands for when a program uses it directly as a bearer.

        A WHIP encoder started twice with the same link is the same person, and comes back to the same seat.
        """
        return "p-" + _name(self._person_key, ticket)


def media_secret(secret: bytes) -> bytes:
    """Return the key of the media port's ICE passwords, derived from the store's secret."""
    return hmac.digest(secret, b"madoi.media", "sha256")


def _name(key: bytes, *parts: str) -> str:
    text = "\x1f".join(parts).encode()
    return base64_encode(hmac.digest(key, text, "sha256")[:15]).decode()
