"""TURN over TLS as `madoi doctor` judges it: a real coturn with certificates of an authority of our own."""

import shutil
import stat
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from live.iceurl import read_ice_url
from live.media.turn import reach
from live.reach import Held, examine_server, media_port
from live.settings import Media, Settings, Turn
from live.web.turn import credentials
from tests.kit.authority import Authority, Issued
from tests.kit.coturn import SECRET, Coturn
from tests.kit.polling import until
from tests.kit.server import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr("live.reach.PATIENCE", 20.0)


@pytest.fixture
def authority(tmp_path, monkeypatch):
    made = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@pytest.fixture
def serve(tmp_path):
    """Start a coturn that may relay to this machine."""
    started = []

    def start(certificate, **options):
        folder = tmp_path / "coturn"
        address = Coturn(folder).address
        started.append(Coturn(folder, f"allowed-peer-ip={address}", certificate=certificate, **options))
        return started[-1].start()

    yield start
    for each in started:
        each.stop()


async def examine(coturn, url=None):
    url = url or coturn.secure_url
    settings = Settings(media=Media(port=0), turn=Turn(urls=(url,), secret=SECRET))
    async with media_port(settings, b"k" * 32) as held:
        assert isinstance(held, Held)
        return {f.what: f for f in await examine_server(url, settings, held, time.time())}


def here():
    return Coturn(Path()).address


def day(days):
    return str((datetime.now(UTC) + timedelta(days=days)).date())


async def test_a_packet_is_relayed_over_tls_and_the_certificates_end_is_told(authority, serve):
    found = await examine(serve(authority.issue(here(), last=90)))
    assert "and back" in found["turn"].says
    assert all(finding.good and not finding.warns for finding in found.values()), found
    assert day(90) in found["turn certificate"].says


@pytest.mark.parametrize(
    ("hosts", "term", "known", "told", "cure"),
    [
        (("turn.example.org",), {}, True, "IP address mismatch", "MADOI_TURN_URLS"),
        ((here(),), {"first": -30, "last": -1}, True, "certificate has expired", "SIGUSR2"),
        ((here(),), {"first": 2}, True, "not yet valid", "clock"),
        ((here(),), {}, False, "unable to get local issuer certificate", "fullchain.pem"),
    ],
    ids=["name", "expired", "early", "unknown"],
)
async def test_what_is_wrong_with_a_certificate_is_told_with_its_cure(
    authority, serve, monkeypatch, hosts, term, known, told, cure
):
    if not known:
        monkeypatch.delenv("SSL_CERT_FILE")
    coturn = serve(authority.issue(*hosts, **term))
    found = await examine(coturn)
    assert list(found) == ["turn certificate"]
    assert found["turn certificate"].good is False
    assert told in found["turn certificate"].says
    assert cure in found["turn certificate"].says
    assert "firewall" not in found["turn certificate"].says
    plain = await examine(coturn, coturn.url("?transport=tcp"))
    assert plain["turn"].good is True
    stun = await examine(coturn, coturn.secure_url.replace("turns:", "stuns:"))
    assert told in stun["stun"].says


async def test_a_certificate_that_ends_soon_is_warned_of(authority, serve):
    found = await examine(serve(authority.issue(here(), last=13.5)))
    ends = found["turn certificate"]
    assert (ends.good, ends.warns) == (True, True)
    assert "in 13 days" in ends.says
    assert day(13.5) in ends.says
    assert found["turn"].good is True


async def test_a_coturn_without_a_certificate_is_told_from_a_firewall(serve):
    serve(None)
    found = await examine(None, f"turns:{here()}:{free_port()}")
    assert found["turn"].good is False
    assert "`pkey`" in found["turn"].says


@pytest.fixture
def caddy(authority, tmp_path):
    """A store as Caddy keeps it, and the shipped script that copies from it; gives what renews."""
    store, target = tmp_path / "caddy", tmp_path / "certificate"
    domain = store / "certificates" / "acme-v02.api.letsencrypt.org-directory" / "turn.test"
    domain.mkdir(parents=True)
    target.mkdir()

    def renew(days):
        made = authority.issue(here(), last=days)
        shutil.copy(made.key, domain / "turn.test.key")
        (domain / "turn.test.key").chmod(0o600)
        shutil.copy(made.chain, domain / "turn.test.crt")
        return Issued(target / "fullchain.pem", target / "privkey.pem", made.pin)

    script = ["sh", DEPLOY / "turn-certificate.sh", "turn.test", store, target, "0.1"]
    with subprocess.Popen(script) as copier:
        yield renew
        copier.terminate()


async def test_a_certificate_that_caddy_renewed_is_served_and_no_connection_ends(caddy, serve):
    certificate = caddy(40)
    script = ("env", "EVERY=0.1", "sh", str(DEPLOY / "turnserver.sh"), str(certificate.chain.parent))
    coturn = serve(certificate, through=script)
    for path in (certificate.chain, certificate.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # coturn's group, and nobody else
    url = read_ice_url(coturn.secure_url)
    kept = await reach(url, 20.0)
    await kept.allocate(*credentials(Turn(secret=SECRET), "kept", time.time()))
    caddy(80)

    async def renewed():
        fresh = await reach(url, 20.0)
        await fresh.close()
        return fresh.expires > kept.expires

    await until(renewed, within=20, every=0.2)
    await kept.permit(here())
    await kept.close()
