"""The proxies' example files: nginx reads ours and lets people through; Traefik's is read as data."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from live.machine import examine_public
from live.settings import Settings
from tests.kit.polling import until
from tests.kit.server import MadoiServer, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
OURS = (DEPLOY / "nginx.conf").read_text("utf-8")


def wrapped(folder, text):
    """A whole configuration around the example, which belongs into `http`."""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log off; {temporary}\n{text}\n}}"
    )
    return [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(conf)]


@needs_nginx
def test_nginx_takes_the_example_as_it_is(tmp_path):
    made = f"-keyout {tmp_path}/privkey.pem -out {tmp_path}/fullchain.pem"
    asked = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=madoi.example.org {made}"
    subprocess.run(asked.split(), check=True, capture_output=True)
    command = wrapped(tmp_path, OURS.replace("/etc/ssl/madoi", str(tmp_path)))
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def through_nginx(tmp_path):
    """A server's address behind nginx set as our example, but for the certificate."""
    server = MadoiServer(tmp_path / "data", proxies="127.0.0.1").start()
    port = free_port()
    text = re.sub(r"server \{\s+listen 80;.*?\n\}", "", OURS, flags=re.DOTALL)
    text = re.sub(r"^\s*ssl_.*$", "", text, flags=re.MULTILINE).replace("listen 443 ssl", f"listen {port}")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("$scheme", "https")
    nginx = subprocess.Popen(wrapped(tmp_path, text))
    yield f"http://localhost:{port}"
    nginx.terminate()
    nginx.wait()
    server.stop()


@needs_nginx
async def test_people_come_through_nginx_and_numbers_do_not(through_nginx):
    async with httpx.AsyncClient(base_url=through_nginx, timeout=5) as client:

        async def answers():
            try:
                return await client.get("/healthz")
            except httpx.HTTPError:
                return None

        answer = await until(answers, within=20, every=0.1)
        assert "strict-transport-security" in answer.headers  # the forwarded scheme is believed
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.post("/nodes/media")).status_code == 404
    found = await examine_public(Settings(public_url=through_nginx), running=True)
    assert [finding.good for finding in found] == [True, True], found


def test_traefik_leads_to_madoi_and_hides_the_numbers():
    http = yaml.safe_load((DEPLOY / "traefik.yml").read_text("utf-8"))["http"]
    router = http["routers"]["madoi"]
    assert "!Path(`/metrics`)" in router["rule"]
    assert "!PathPrefix(`/nodes/`)" in router["rule"]
    balancer = http["services"][router["service"]]["loadBalancer"]
    assert balancer["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert balancer["healthCheck"]["path"] == "/readyz"
