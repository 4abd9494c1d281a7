"""The part of `madoi doctor` that tests the way of media: our own port, then every TURN server, to the end.

A TURN server is tested as a browser would use it: short-lived credentials, an allocation, and a datagram
relayed to our media port and back, over IPv6 too where browsers are told an IPv6 address. What it must *not*
do is tried too: serve without credentials or with expired ones, and relay into private networks. Of TLS, the
certificate is judged as a browser would judge it.
"""

import ipaddress
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from live.iceurl import IceUrl, read_ice_url
from live.media.control import MediaSettings
from live.media.knock import knock, knock_through, listening
from live.media.turn import Relay, TurnRefused, Unreachable, Untrusted, bind, reach
from live.media.udp import advertised
from live.settings import Settings
from live.web.turn import credentials

#: Seconds that anything asked may take.
PATIENCE = 3.0

#: One address each of the networks that nobody on the internet may reach through us (RFC 6890).
FORBIDDEN = ("127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1")
FORBIDDEN_6 = ("::1", "fc00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1")

#: Days before a certificate ends from which on it is warned of: most that renew themselves do so at thirty.
SOON_DAYS = 14

_FORBIDDEN_PEER, _NO_SUCH_FAMILY = 403, 440
_DAY = 86400.0
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
    except Untrusted as problem:
        return [Finding("turn certificate", False, f"{text}: {_distrust(problem, url)}")]
    except Unreachable as problem:
        return [Finding("turn", False, f"{text}: {problem}; {_silence(url)}")]
    except TurnRefused as refused:
        return [Finding("turn", False, f"{text}: {_why(refused)}")]
    four, _ = _families(told(settings))
    try:
        findings = [] if relay.expires is None else [_lasts(text, relay.expires, now)]
        if four:
            findings.append(await _relays("turn", text, relay, four, held))
        findings.append(await _closed("turn closed", text, relay, settings, FORBIDDEN))
    finally:
        await relay.close()
    return [
        *findings,
        *await _over_ipv6(text, url, settings, held, now),
        await _expired(text, url, settings, now),
    ]


def _families(addresses: list[str]) -> tuple[str | None, str | None]:
    """The first IPv4 and the first IPv6 address, the latter as it comes back in answers."""
    four = next((address for address in addresses if ":" not in address), None)
    six = next((address for address in addresses if ":" in address), None)
    return four, six and str(ipaddress.IPv6Address(six))


async def _over_ipv6(
    text: str, url: IceUrl, settings: Settings, held: Held | None, now: float
) -> list[Finding]:
    """Relay to the media port's IPv6 address; one that has no IPv6 will do while there is an IPv4 address."""
    what = "turn over IPv6"
    four, six = _families(told(settings))
    if six is None:
        return []
    try:
        relay = await _allocated(url, *credentials(settings.turn, _ME, now), six=True)
    except TurnRefused as refused:
        if refused.code != _NO_SUCH_FAMILY:
            return [Finding(what, False, f"{text}: {_why(refused)}")]
        if four:
            return [Finding(what, True, f"{text}: relays over IPv4 only; {four} is reached all the same")]
        return [
            Finding(
                what,
                False,
                f"{text}: relays over IPv4 only, and the media port has no IPv4 address: give coturn a "
                "`relay-ip` of IPv6, or name an IPv4 address in MADOI_MEDIA_ADDRESSES",
            )
        ]
    except Unreachable as problem:
        return [Finding(what, False, f"{text}: {problem}")]
    try:
        return [
            await _relays(what, text, relay, six, held),
            await _closed("turn closed over IPv6", text, relay, settings, FORBIDDEN_6),
        ]
    finally:
        await relay.close()


async def _stun(text: str, url: IceUrl) -> Finding:
    try:
        host, _ = await bind(url, PATIENCE)
    except Untrusted as problem:
        return Finding("stun", False, f"{text}: {_distrust(problem, url)}")
    except (Unreachable, TurnRefused) as problem:
        return Finding("stun", False, f"{text}: {problem}; name another or take it out of MADOI_TURN_URLS")
    return Finding("stun", True, f"{text}: sees this machine at {host}")


async def _allocated(url: IceUrl, user: str, password: str, *, six: bool = False) -> Relay:
    relay = await reach(url, PATIENCE)
    try:
        await relay.allocate(user, password, six=six)
    except BaseException:
        await relay.close()
        raise
    return relay


def _silence(url: IceUrl) -> str:
    cure = f"is it running, and does a firewall let {url.transport} {url.port} through?"
    if url.secure:
        cure += " coturn has no TLS unless it could read its `cert` and `pkey` when it started: see its log"
    return cure


def _distrust(problem: Untrusted, url: IceUrl) -> str:
    """What is wrong with a certificate, and the cure; codes as in OpenSSL's x509_vfy.h."""
    match problem.code:
        case 10:
            cure = "renew it, and let coturn read it anew (SIGUSR2)"
        case 9:
            cure = "its time has not come: is a clock wrong, here or where it was made?"
        case 62 | 64:
            cure = f"name the server in MADOI_TURN_URLS as its certificate does, or get one for {url.host}"
        case 2 | 18 | 19 | 20 | 21:
            cure = (
                "browsers believe only known authorities, and need the whole chain: coturn's `cert` must be "
                "fullchain.pem (for an authority of your own, name its file in SSL_CERT_FILE)"
            )
        case _:
            cure = "browsers refuse it as well: get another one"
    return f"its certificate is not believed: {problem}; {cure}"


def _lasts(text: str, expires: float, now: float) -> Finding:
    day = datetime.fromtimestamp(expires, UTC).date()
    left = int((expires - now) / _DAY)
    if left >= SOON_DAYS:
        return Finding("turn certificate", True, f"{text}: believed, until {day}")
    cure = "renew it, and let coturn read it anew (SIGUSR2); if it renews by itself, see why it has not"
    return Finding("turn certificate", True, f"{text}: ends on {day}, in {left} days: {cure}", warns=True)


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


async def _relays(what: str, text: str, relay: Relay, host: str, held: Held | None) -> Finding:
    if held is None:
        return Finding(what, None, f"{text}: allocates; without a media port nothing could be relayed")
    where = f"[{host}]:{held.port}" if ":" in host else f"{host}:{held.port}"
    try:
        await relay.permit(host)
        waited = await knock_through(relay, (host, held.port), held.secret)
    except TurnRefused as refused:
        if refused.code != _FORBIDDEN_PEER:
            return Finding(what, False, f"{text}: does not relay to {where} ({refused})")
        return Finding(
            what,
            False,
            f"{text}: denies our own media address {host} (403); set `allowed-peer-ip={host}` in coturn, "
            "or name the public address in MADOI_MEDIA_ADDRESSES",
        )
    except Unreachable as problem:
        return Finding(
            what,
            False,
            f"{text}: allocates, but from {where} {problem}: a firewall between coturn and the media port, "
            "a wrong MADOI_MEDIA_ADDRESSES, or a wrong `external-ip` or `relay-ip` in coturn",
        )
    return Finding(what, True, f"{text}: relays to {where} and back ({waited:.1f} ms)")


async def _closed(
    what: str, text: str, relay: Relay, settings: Settings, forbidden: tuple[str, ...]
) -> Finding:
    ours = set(told(settings))
    opened = []
    for host in forbidden:
        if host in ours:
            continue
        try:
            await relay.permit(host)
        except TurnRefused:
            continue
        except Unreachable as problem:
            return Finding(what, None, f"{text}: asked for {host}: {problem}")
        opened.append(host)
    if opened:
        return Finding(
            what,
            False,
            f"{text}: would relay to {', '.join(opened)}: anybody with a ticket could reach your own "
            "machines; copy the `denied-peer-ip` lines of deploy/turnserver.conf",
        )
    return Finding(what, True, f"{text}: refuses private, loopback and link-local peers")


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
