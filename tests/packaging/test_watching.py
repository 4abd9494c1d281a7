"""The dashboard and the alert rules ask for metrics that a real server shows; nothing personal is in them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from live.demo.line import Line
from live.telemetry import merged
from tests.kit.polling import until
from tests.kit.server import MadoiServer

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/madoi.json").read_text("utf-8"))
RULES = ROOT / "deploy/prometheus/alerts.yml"
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]}
QUERIES |= {rule["alert"]: rule["expr"] for rule in ALERTS}
LABELS = {"method", "status", "outcome", "le", "code", "kind", "version", "worker", "process"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = MadoiServer(tmp_path_factory.mktemp("watching") / "data").start()
    yield server
    server.stop()


def families(server):
    text = httpx.get(f"{server.url}/metrics", timeout=20).text
    return text, list(text_string_to_metric_families(text))


async def samples(server):
    """Every sample once the pulse has been felt: name, labels, value."""

    def shown():
        found = [sample for family in families(server)[1] for sample in family.samples]
        return found if any(s.name == "madoi_store_up" for s in found) else None

    return await until(shown, within=30, every=0.2)


async def test_every_query_asks_for_metrics_and_labels_that_exist(server):
    found = await samples(server)
    names = {sample.name for sample in found} | {"up"}
    values = {(label, value) for sample in found for label, value in sample.labels.items()}
    for what, expr in QUERIES.items():
        asked = set(re.findall(r"\b(?:madoi|process)_\w+|\bup\b", expr))
        assert asked, what
        assert asked <= names, (what, asked - names)
        for label, pattern in re.findall(r'(outcome|code|status)[=!]~?"([^"]*)"', expr):
            for value in pattern.split("|"):
                assert (label, value) in values or value == "5xx", (what, label, value)


async def test_labels_take_few_values_and_name_nobody(server):
    made = server.make_session("秘密の会", door="open")
    server.move(made.id, "live")
    line = Line(server.url, made.id, server.ticket(made.id, "attendee", "小百合カナリア"))
    await line.open()
    await line.admitted.wait()
    assert (await line.do("post", text="合言葉カナリア"))["t"] == "done"
    found = await samples(server)
    assert {label for sample in found for label in sample.labels} <= LABELS
    assert len(found) < 500
    text, _ = families(server)
    for secret in (made.id, line.you["id"], "小百合", "カナリア"):
        assert secret not in text
    counted = {(s.name, s.labels.get("outcome") or s.labels.get("kind")): s.value for s in found}
    assert counted["madoi_commands_total", "done"] >= 1
    assert counted["madoi_resumes_total", "new"] >= 1
    assert next(s.value for s in found if s.name == "madoi_rooms_sockets") == 1
    assert next(s.value for s in found if s.name == "madoi_append_seconds_count") >= 1
    await line.close()

    def closed():
        return any(
            s.name == "madoi_closes_total" and s.labels["code"] == "4000" and s.value >= 1
            for family in families(server)[1]
            for s in family.samples
        )

    await until(closed, within=20, every=0.1)


async def test_what_can_run_out_is_told_beside_its_limit(server):
    shown = {sample.name: sample.value for sample in await samples(server) if not sample.labels}
    assert 0 < shown["madoi_memory_available_bytes"] <= shown["madoi_memory_bytes"]
    assert 0 < shown["madoi_disk_free_bytes"] <= shown["madoi_disk_bytes"]
    assert shown["madoi_media_viewers_limit"] == 500


async def test_metrics_of_several_processes_are_one_valid_text(server):
    await samples(server)
    text, alone = families(server)
    together = list(text_string_to_metric_families(merged({0: text, 1: text})))
    assert [family.name for family in together] == [family.name for family in alone]
    assert sum(len(family.samples) for family in together) == 2 * sum(len(f.samples) for f in alone)
    assert {s.labels["process"] for family in together for s in family.samples} == {"0", "1"}


def test_panels_are_told_apart_and_do_not_overlap():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 for x, _ in cells)
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    for expr in (t["expr"] for p in PANELS for t in p["targets"]):
        assert set(re.findall(r"\$(\w+)", expr)) <= variables


def test_every_alert_says_what_to_do_where_it_is_said():
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)
    }
    for rule in ALERTS:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert path == "docs/operations.md"
        assert anchor in anchors, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_takes_the_rules():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
