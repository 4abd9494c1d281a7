"""What cannot be started here is at least read: Dockerfile, compose file and what they name."""

import ipaddress
import re
from pathlib import Path

import pytest
import yaml

from live.iceurl import read_ice_url
from live.machine import FILES_WANTED
from live.settings import WORKERS_AT_MOST, leaves, load, variable

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
TURNSERVER = (ROOT / "deploy/turnserver.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KNOWN = {variable(key) for key, _, _ in leaves()}
KNOWN |= {f"{name}_FILE" for name in KNOWN} | {"MADOI_DOMAIN", "MADOI_ADDRESS"}


def test_every_service_is_there():
    assert set(SERVICES) == {"app", "redis", "coturn", "caddy", "certificate"}


@pytest.mark.parametrize(
    "name", ["Dockerfile", "docker-compose.yml", "deploy/env.example", "docs/operations.md", "README.md"]
)
def test_every_variable_that_is_named_exists(name):
    named = set(re.findall(r"\bMADOI_[A-Z_]+[A-Z]\b", (ROOT / name).read_text()))
    assert named - {"MADOI_CONFIG"} <= KNOWN


def test_no_image_is_floating():
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) + [s["image"] for s in SERVICES.values()]
    assert images
    for image in images:
        tag = image.partition(":")[2]
        assert re.search(r"\d+\.\d+", tag), image


def test_the_app_runs_as_nobody_in_particular():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d{4,}$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "npm" not in last


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_every_service_has_a_read_only_root_and_no_capabilities(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] == "unless-stopped"


def test_redis_is_durable_and_unreachable_from_outside():
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendfsync") + 1] == "always"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert "ports" not in SERVICES["redis"]


def test_ports_fit_together():
    environment = SERVICES["app"]["environment"]
    media = environment["MADOI_MEDIA_PORT"]
    spread = f"{media}-{int(media) + WORKERS_AT_MOST - 1}"
    assert SERVICES["app"]["ports"] == [f"{spread}:{spread}/udp", f"{spread}:{spread}/tcp"]
    assert f"EXPOSE 8000/tcp {spread}/udp {spread}/tcp" in DOCKERFILE
    assert environment["MADOI_PROXIES"] == SERVICES["caddy"]["networks"]["inside"]["ipv4_address"]
    subnet = ipaddress.ip_network(COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"])
    assert ipaddress.ip_address(environment["MADOI_PROXIES"]) in subnet
    assert "app:8000" in (ROOT / "deploy/Caddyfile").read_text()


def test_turn_is_offered_over_udp_tcp_and_tls_where_coturn_listens():
    conf = dict(line.partition("=")[::2] for line in TURNSERVER.splitlines())
    urls = [read_ice_url(text) for text in relays()]
    assert [(url.secure, url.transport, str(url.port)) for url in urls] == [
        (False, "udp", conf["listening-port"]),
        (False, "tcp", conf["listening-port"]),
        (True, "tcp", conf["tls-listening-port"]),
    ]
    assert "no-tls" not in conf
    coturn, certificate = SERVICES["coturn"], SERVICES["certificate"]
    folder = str(Path(conf["cert"]).parent)
    assert (conf["cert"], conf["pkey"]) == (f"{folder}/fullchain.pem", f"{folder}/privkey.pem")
    assert f"turnserver.sh {folder} -c" in coturn["command"][0]
    assert f"turn-certificate:{folder}:ro" in coturn["volumes"]
    assert {"caddy-data:/data:ro", "turn-certificate:/certificate"} <= set(certificate["volumes"])
    assert certificate["user"].partition(":")[2] == coturn["user"].partition(":")[2]
    assert coturn["cap_add"] == ["NET_BIND_SERVICE"]


def relays() -> list[str]:
    """The TURN servers of the compose file, as the app reads them."""
    text = SERVICES["app"]["environment"]["MADOI_TURN_URLS"].replace("${MADOI_DOMAIN}", "turn.example.org")
    return list(load({"MADOI_TURN_URLS": text}).turn.urls)


def test_several_processes_are_one_setting_away():
    app = SERVICES["app"]
    assert app["environment"]["MADOI_PROCESSES"] == "${MADOI_PROCESSES:-1}"
    assert app["environment"]["MADOI_STORE"].startswith("redis://")
    assert app["init"] is True  # somebody has to bury the media workers of a process that was killed
    assert app["ulimits"]["nofile"] >= FILES_WANTED


def test_every_mounted_file_exists_and_every_secret_is_declared():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file()
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.28.0.10",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("0.0.0.0", "224.0.0.1", "::1", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
    ],
)
def test_turn_relays_into_no_private_network(address):
    ranges = re.findall(r"^denied-peer-ip=(\S+)$", TURNSERVER, re.MULTILINE)
    one = ipaddress.ip_address(address)
    denied = []
    for text in ranges:
        first, _, last = text.partition("-")
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        denied.append(low.version == one.version and low <= one <= high)
    assert any(denied)


def test_turn_leaves_public_addresses_alone():
    for public in ("8.8.8.8", "2600::1", "203.0.112.255", "172.15.255.255", "172.32.0.1"):
        one = ipaddress.ip_address(public)
        for low, high in re.findall(r"^denied-peer-ip=([^-\s]+)-(\S+)$", TURNSERVER, re.MULTILINE):
            first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
            assert first.version != one.version or not first <= one <= last
