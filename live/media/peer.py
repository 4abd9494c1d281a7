"""One transport: a publisher's or a viewer's ICE, DTLS and SRTP, and what its description agreed to."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from live.media.budget import Budget
from live.media.dtls import Certificate, Dtls, DtlsError
from live.media.ice import Address, BindingRequest, Changes, Credentials, Paths, check
from live.media.negotiation import Offered, Remote
from live.media.srtp import Srtp, SrtpError
from live.sfu import PublicationSpec, Slot, Tier

Send = Callable[[bytes | memoryview, Address], None]


class Peer:
    """A publication's or a watch's transport, from its offer to its end.

    Attributes:
        resource: its name in URLs.
        room: the room it belongs to.
        person: whose it is.
        source: `camera` or `screen` for a publisher, "" for a viewer.
        behind: a viewer behind the curtain.
        publications: what it publishes once connected.
        slots: what it watches once connected; empty while a server-made offer is unanswered.
        tier: how much of the stage it watches.
        offered: the lines of a server-made offer.
        mid: the media section that names its transport.
        local: our credentials, fresh after each ICE restart.
        srtp: None until the DTLS handshake is done; `Changes` counts with it.
        paths: its addresses.
        budget: how much it may still ask.
        made_at: when the offer came, monotonic seconds.
    """

    def __init__(
        self,
        resource: str,
        room: str,
        person: str,
        local: Credentials,
        *,
        source: Literal["camera", "screen", ""],
        behind: bool,
        now: float,
    ) -> None:
        self.resource = resource
        self.room = room
        self.person = person
        self.source = source
        self.behind = behind
        self.made_at = now
        self.mid = "0"
        self.publications: tuple[PublicationSpec, ...] = ()
        self.slots: tuple[Slot, ...] = ()
        self.tier: Tier = "video"
        self.offered: tuple[Offered, ...] = ()
        self.local = local
        self.former: Credentials | None = None
        self.remote: Remote | None = None
        self._srtp: Srtp | None = None
        self.paths = Paths()
        self.budget = Budget()
        self._dtls: Dtls | None = None
        self._send: Send | None = None
        self._task: asyncio.Task[None] | None = None
        self._reachable = asyncio.Event()
        self._ended = False

    @property
    def srtp(self) -> Srtp | None:
        """See the class."""
        return self._srtp

    @srtp.setter
    def srtp(self, srtp: Srtp | None) -> None:
        self._srtp = srtp
        Changes.count += 1

    @property
    def publishes(self) -> bool:
        """It is a publisher; else it is a viewer."""
        return bool(self.source)

    @property
    def etag(self) -> str:
        """The entity tag of the ICE session, quoted as in HTTP."""
        return f'"{self.local.ufrag}"'

    def open(self, certificate: Certificate, send: Send, said_goodbye: Callable[["Peer"], None]) -> None:
        """Gets ready for datagrams, which may come before the remote description does."""
        self._send = send
        self._dtls = Dtls(certificate, self._out, lambda: said_goodbye(self))

    def connect(
        self,
        remote: Remote,
        seconds: float,
        connected: Callable[["Peer"], None],
        failed: Callable[["Peer"], None],
    ) -> None:
        """Starts the handshake with what the remote description said; one of the two is called at its end."""
        self.remote = remote
        self._task = asyncio.create_task(self._handshake(remote, seconds, connected, failed))

    async def _handshake(
        self,
        remote: Remote,
        seconds: float,
        connected: Callable[["Peer"], None],
        failed: Callable[["Peer"], None],
    ) -> None:
        if self._dtls is None:
            return
        try:
            async with asyncio.timeout(seconds):
                if remote.role == "client":
                    await self._reachable.wait()
                keys = await self._dtls.handshake(remote.role, list(remote.fingerprints))
            self.srtp = Srtp(keys)
        except (DtlsError, TimeoutError):
            failed(self)
        else:
            connected(self)

    def _out(self, datagram: bytes) -> None:
        if self._send is not None and self.paths.chosen is not None:
            self._send(datagram, self.paths.chosen)

    def take_check(
        self, request: BindingRequest, address: Address, now: float
    ) -> tuple[bool, Address | None]:
        """Answers a connectivity check.

        Returns:
            Whether it proves the address, and an address that had to be forgotten for it.

        Raises:
            StunError: it is not proven; nothing was sent.
        """
        former = self.former is not None and request.ufrag == self.former.ufrag
        known = self.former if former and self.former else self.local
        checked = check(request, address, known.pwd)
        if self._send is not None:
            self._send(checked.reply, address)
        if not checked.proven:
            return False, None
        if not former:
            self.former = None
        self._reachable.set()
        return True, self.paths.note(address, nominated=checked.nominated, now=now)

    def take_dtls(self, datagram: bytes) -> None:
        """Takes a DTLS record."""
        if self._dtls is not None:
            self._dtls.receive(datagram)

    def send_rtcp(self, packet: bytes) -> None:
        """Protects and sends RTCP, if there is anybody to send it to."""
        if self.srtp is None or self.paths.chosen is None or self._send is None:
            return
        try:
            self._send(self.srtp.protect_rtcp(packet), self.paths.chosen)
        except SrtpError:
            return

    def restart(self, remote: Credentials, local: Credentials) -> None:
        """Takes both sides' fresh credentials; our former ones hold until the new ones are used."""
        self.former, self.local = self.local, local
        if self.remote is not None:
            self.remote = replace(self.remote, credentials=remote)

    def ufrags(self) -> list[str]:
        """Those of our username fragments that hold."""
        return [c.ufrag for c in (self.local, self.former) if c is not None]

    async def close(self) -> None:
        """Says goodbye and frees everything, leaving no cycle; asked twice, it does it once."""
        if self._ended:
            return
        self._ended = True
        self.srtp = None
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._dtls is not None:
            await self._dtls.close()
        self._dtls = self._send = self._task = None  # which know us
