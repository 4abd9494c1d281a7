"""The short way through `rooms.text` says what the long way says."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from rooms.text import _PLAIN, _extends, _harmless, _normal

ORDINARY = [char for char in map(chr, range(0x10000)) if _PLAIN.fullmatch(char)]


def test_every_ordinary_character_is_normal_harmless_and_its_own():
    assert len(ORDINARY) > 25_000, "kanji are ordinary"
    for char in ORDINARY:
        assert _harmless(char), hex(ord(char))
        assert not _extends(char), hex(ord(char))
        assert unicodedata.combining(char) == 0, hex(ord(char))


@given(st.text(st.sampled_from(ORDINARY)))
def test_ordinary_characters_never_compose(text):
    assert _normal(text) == text
