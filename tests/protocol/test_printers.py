import json
import re
from pathlib import Path

import pytest

from live.protocol import catalogue
from live.protocol.__main__ import PRINTED, ROOT, check, write
from live.protocol.codes import CLOSE_MEANINGS, Close
from live.protocol.examples import CLIENT_EXAMPLES, SERVER_EXAMPLES
from live.protocol.refusals import DOMAIN_REFUSALS
from rooms import COMMANDS, EVENTS


def test_the_printed_files_are_fresh():
    assert check(ROOT) == [], "run `python -m live.protocol`"


def test_check_sees_a_missing_and_a_stale_file(tmp_path):
    assert write(tmp_path) == list(PRINTED)
    (tmp_path / "docs/protocol.md").write_text("old")
    assert check(tmp_path) == ["docs/protocol.md"]
    assert write(tmp_path) == ["docs/protocol.md"]
    assert check(tmp_path) == []


def test_every_frame_has_an_example():
    assert {type(one) for one in SERVER_EXAMPLES} == set(catalogue.SERVER_FRAMES)
    assert {type(one) for one in CLIENT_EXAMPLES} == set(catalogue.CLIENT_FRAMES)


def test_every_close_code_has_a_meaning_and_a_side():
    assert set(CLOSE_MEANINGS) == set(Close)
    assert [code for code in Close if code.come_back] == [code for code in Close if code < 4500]


def test_every_refusal_of_the_domain_is_explained():
    sources = "".join(path.read_text() for path in Path(ROOT, "rooms").glob("*.py"))
    assert set(re.findall(r'Refused\(\s*"(\w+)"', sources)) == set(DOMAIN_REFUSALS)


@pytest.mark.parametrize("cls", [*catalogue.SERVER_FRAMES, *catalogue.CLIENT_FRAMES])
def test_every_field_of_a_frame_is_explained(cls):
    assert catalogue.words(cls).first
    assert [field.name for field in catalogue.fields(cls) if not field.words] == []


def test_tags_are_unique_on_each_side():
    for side in (catalogue.SERVER_FRAMES, catalogue.CLIENT_FRAMES, COMMANDS, EVENTS):
        assert len({catalogue.tag(cls) for cls in side}) == len(side)


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    document = json.loads(PRINTED["docs/asyncapi.json"]())
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        node = document
        for step in reference.split("/"):
            node = node[step]


def test_typescript_names_everything_it_uses():
    text = PRINTED["static/src/protocol.gen.ts"]()
    known = set(re.findall(r"^export (?:interface|type|const) (\w+)", text, re.MULTILINE))
    code = re.sub(r"/\*\*.*?\*/|\"[^\"]*\"", "", text)
    used = set(re.findall(r"[:|<(] ?([A-Z]\w+)", code))
    assert used - known - {"Record", "Partial"} == set()
