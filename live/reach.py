"""The part of `madoi doctor` that tests the way of media: our own port, then every TURN server, to the end.

A TURN server is tested as a browser would use it: short-lived credentials, an allocation, and a datagram
relayed to our media port and back. What it must *not* do is tried too: serve without credentials or with
expired ones, and relay into private networks.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from live.iceurl import IceUrl, read_ice_url
from live.media.control import MediaSettings
from live.media.knock import knock, knock_through, listening
from live.media.turn import Relay, TurnRefused, Unreachable, bind, reach
from live.media.udp import advertised
from live.settings import Settings
from live.web.turn import credentials

#: Seconds that anything asked may take.
PATIENCE = 3.0

#: One address each of the networks that nobody on the internet may reach through us (RFC 6890).
FORBIDDEN = ("127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1")

_FORBIDDEN_PEER = 403
_ME = "doctor"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: what was looked at.
        good: whether it is good; None where this machine cannot tell.
        says: what was found and, where it is not good, what to do.
        warns: it works, but something should be done.
    """

    what: str
    good: bool | None
    says: str
    warns: bool = False


@dataclass(frozen=True)
class Held:
    """A media port that answers knocks: the running server's, or one held for the test."""

    port: int
    secret: bytes
    running: bool


@asynccontextmanager
async def media_port(settings: Settings, secret: bytes | None) -> AsyncIterator[Held | Finding]:
    """Give the port to knock at, or why there is none.

    Args:
        settings: in force.
        secret: the media secret of the store, None where the store is away.
    """
    wanted = MediaSettings(
        port=settings.media.port, host=settings.media.host, public_addresses=list(settings.media.addresses)
    )
    ours = secret or secrets.token_bytes(32)
    async with AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(listening(wanted, ours))
        except OSError as error:
            why = error.strerror or str(error)
        else:
            yield Held(port, ours, running=False)
            return
    where = f"{settings.media.host or '*'}:{settings.media.port}"
    if secret is None:
        yield Finding("media port", False, f"{where}: {why}; whose it is cannot be told without the store")
        return
    try:
        await knock(_near(settings), settings.media.port, secret, PATIENCE, tcp=False)
    except Unreachable as problem:
        yield Finding(
            "media port",
            False,
            f"{where}: {why}, and it is not this store's server that has it ({problem}): "
            "end the other program, or choose another MADOI_MEDIA_PORT",
        )
        return
    yield Held(settings.media.port, secret, running=True)


def _near(settings: Settings) -> str:
    """The address at which the port is bound for certain."""
    host = settings.media.host
    if host in ("", "0.0.0.0"):  # noqa: S104  # compared, not bound
        return "127.0.0.1"
    return "::1" if host == "::" else host


async def examine_port(settings: Settings, held: Held) -> list[Finding]:
    """Knock at the port, here and at the addresses that browsers are told, over UDP and TCP."""
    whose = "the running server" if held.running else "free; a trial listener"
    said = [f"{settings.media.host or '*'}:{held.port}, {whose}"]
    found = []
    for tcp in (False, True):
        name = "TCP" if tcp else "UDP"
        try:
            waited = await knock(_near(settings), held.port, held.secret, PATIENCE, tcp=tcp)
            said.append(f"{name} answers ({waited:.1f} ms)")
        except Unreachable as problem:
            reason = f"{name} {held.port} does not answer on this machine itself: {problem}"
            cure = (
                "is TCP on this port taken by another program?" if tcp else "is a local firewall in the way?"
            )
            found.append(Finding("media port", False, f"{reason}; {cure}"))
    if not found:
        found.append(Finding("media port", True, ", ".join(said)))
    return [*found, *[await _advertised(host, held) for host in told(settings)]]


def told(settings: Settings) -> list[str]:
    """The addresses that browsers are told."""
    return advertised(settings.media.host, settings.media.addresses)


async def _advertised(host: str, held: Held) -> Finding:
    where = f"[{host}]:{held.port}" if ":" in host else f"{host}:{held.port}"
    silent = []
    for tcp in (False, True):
        try:
            await knock(host, held.port, held.secret, PATIENCE, tcp=tcp)
        except Unreachable as problem:
            silent.append(f"{'TCP' if tcp else 'UDP'}: {problem}")
    if not silent:
        return Finding("media address", True, f"{where} answers over UDP and TCP from this machine")
    return Finding(
        "media address",
        None,
        f"{where} does not answer from this machine ({'; '.join(silent)}). Behind a NAT that does not turn "
        "packets back this is normal: let somebody outside run the check at the door. Else open the port in "
        "the firewall (UDP and TCP), or mend MADOI_MEDIA_ADDRESSES",
    )


async def examine_server(text: str, settings: Settings, held: Held | None, now: float) -> list[Finding]:
    """Test one STUN or TURN server.

    Args:
        text: its address, as in the settings.
        settings: in force.
        held: the media port to relay to, None when there is none.
        now: Unix time in seconds.
    """
    url = read_ice_url(text)
    if not url.relays:
        return [await _stun(text, url)]
    if not settings.turn.secret:
        return [
            Finding("turn", False, f"{text}: MADOI_TURN_SECRET is not set, so nobody gets credentials for it")
        ]
    try:
        relay = await _allocated(url, *credentials(settings.turn, _ME, now))
    except Unreachable as problem:
        cure = f"is it running, and does a firewall let {url.transport} {url.port} through?"
        return [Finding("turn", False, f"{text}: {problem}; {cure}")]
    except TurnRefused as refused:
        return [Finding("turn", False, f"{text}: {_why(refused)}")]
    try:
        findings = [await _relays(text, relay, told(settings), held), await _closed(text, relay, settings)]
    finally:
        await relay.close()
    return [*findings, await _expired(text, url, settings, now)]


async def _stun(text: str, url: IceUrl) -> Finding:
    try:
        host, _ = await bind(url, PATIENCE)
    except (Unreachable, TurnRefused) as problem:
        return Finding("stun", False, f"{text}: {problem}; name another or take it out of MADOI_TURN_URLS")
    return Finding("stun", True, f"{text}: sees this machine at {host}")


async def _allocated(url: IceUrl, user: str, password: str) -> Relay:
    relay = await reach(url, PATIENCE)
    try:
        await relay.allocate(user, password)
    except BaseException:
        await relay.close()
        raise
    return relay


def _why(refused: TurnRefused) -> str:
    match refused.code:
        case 0:
            return "relays for anybody, without credentials; set `use-auth-secret` in coturn"
        case 401:
            return (
                "does not accept our credentials (401): MADOI_TURN_SECRET must be coturn's "
                "`static-auth-secret`, with `use-auth-secret` set, and both clocks right"
            )
        case 486 | 508:
            return f"has no place left ({refused}): look at `user-quota`, `total-quota` and the port range"
        case _:
            return f"gives no allocation ({refused})"


async def _relays(text: str, relay: Relay, addresses: list[str], held: Held | None) -> Finding:
    if held is None:
        return Finding("turn", None, f"{text}: allocates; without a media port nothing could be relayed")
    host = next((address for address in addresses if ":" not in address), None)
    if host is None:
        return Finding("turn", None, f"{text}: allocates; there is no IPv4 media address to relay to")
    where = f"{host}:{held.port}"
    try:
        await relay.permit(host)
        waited = await knock_through(relay, (host, held.port), held.secret)
    except TurnRefused as refused:
        if refused.code != _FORBIDDEN_PEER:
            return Finding("turn", False, f"{text}: does not relay to {where} ({refused})")
        return Finding(
            "turn",
            False,
            f"{text}: denies our own media address {host} (403); set `allowed-peer-ip={host}` in coturn, "
            "or name the public address in MADOI_MEDIA_ADDRESSES",
        )
    except Unreachable as problem:
        return Finding(
            "turn",
            False,
            f"{text}: allocates, but from {where} {problem}: a firewall between coturn and the media port, "
            "a wrong MADOI_MEDIA_ADDRESSES, or a wrong `external-ip` or `relay-ip` in coturn",
        )
    return Finding("turn", True, f"{text}: relays to {where} and back ({waited:.1f} ms)")


async def _closed(text: str, relay: Relay, settings: Settings) -> Finding:
    ours = set(told(settings))
    opened = []
    for host in FORBIDDEN:
        if host in ours:
            continue
        try:
            await relay.permit(host)
        except TurnRefused:
            continue
        except Unreachable as problem:
            return Finding("turn closed", None, f"{text}: asked for {host}: {problem}")
        opened.append(host)
    if opened:
        return Finding(
            "turn closed",
            False,
            f"{text}: would relay to {', '.join(opened)}: anybody with a ticket could reach your own "
            "machines; copy the `denied-peer-ip` lines of deploy/turnserver.conf",
        )
    return Finding("turn closed", True, f"{text}: refuses private, loopback and link-local peers")


async def _expired(text: str, url: IceUrl, settings: Settings, now: float) -> Finding:
    user, password = credentials(settings.turn, _ME, now - settings.turn.ttl - 3600)
    try:
        relay = await _allocated(url, user, password)
    except TurnRefused:
        return Finding("turn expiry", True, f"{text}: refuses credentials that have run out")
    except Unreachable as problem:
        return Finding("turn expiry", None, f"{text}: {problem}")
    await relay.close()
    return Finding(
        "turn expiry",
        False,
        f"{text}: accepts credentials that ran out an hour ago: is its clock right, `use-auth-secret` set?",
    )
