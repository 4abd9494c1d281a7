"""What people type: the short way says what the long way says, and nothing deceives the eye.

OWASP ASVS 5.0 1.1.1, 2.2.1.
"""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import Refused
from rooms.likeness import skeleton
from rooms.text import _PLAIN, _extends, _harmless, _normal, clean, clean_name, graphemes, is_invisible, plain

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]
FORMATS = [char for char in EVERY if unicodedata.category(char) == "Cf"]
FILLERS = list("\u034f\u115f\u1160\u17b4\u17b5\u180b\u2065\u2800\u3164\uffa0\ufff0\U000e0000\U000e0fff")
MARKS = [char for char in EVERY if unicodedata.category(char)[0] == "M"]
SELECTORS = [*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))]
TRICKY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(FORMATS + FILLERS + MARKS),
        st.sampled_from("e\u202d\u0301\u200d\u200bか\u3099👩❤\ufe0f🏽한\u1112\u1161\u11ab佐 "),
    ),
    max_size=80,
)

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


def kept(typed, most=300):
    try:
        return clean(typed, least=0, most=most)
    except Refused as refusal:
        assert refusal.code == "too_long"
        return ""


def named(typed):
    try:
        return clean_name(typed)
    except Refused as refusal:
        assert refusal.code in {"too_short", "too_long"}
        return ""


def test_asvs_1_1_1_no_name_is_made_of_what_cannot_be_seen():
    for char in [*FORMATS, *FILLERS, *SELECTORS]:
        code = f"U+{ord(char):04X}"
        assert is_invisible(char), code
        for typed in (char, char * 3, f" {char} {char}"):
            assert named(typed) == "", code
        assert skeleton(f"佐{char}藤") == skeleton("佐藤"), code
        chosen = char in SELECTORS or char == "\u180b"
        assert named(f"佐藤{char}{char}") == (f"佐藤{char}" if chosen else "佐藤"), code


def test_a_text_of_nothing_that_is_seen_is_too_short():
    for char in [*FORMATS, *FILLERS, *SELECTORS]:
        for typed in (char * 3, f"{char} {char}\n{char}"):
            with pytest.raises(Refused, match="too_short"):
                clean(typed, most=300)


def test_what_is_seen_is_not_called_invisible():
    seen = [char for char in EVERY if unicodedata.category(char)[0] in "LNPS" and is_invisible(char)]
    assert {f"{ord(char):04X}" for char in seen} == {"115F", "1160", "2800", "3164", "FFA0", "1D159"}


@given(TRICKY)
def test_what_is_kept_is_normal_and_stays_as_it_is(typed):
    for made, again in ((kept(typed), kept), (named(typed), named)):
        assert unicodedata.is_normalized("NFC", made)
        assert again(made) == made


@pytest.mark.parametrize("typed", ["e\u202d\u0301", "か\u202e\u3099", "\u1100\u2066\u1161", "e\ufeff\u0301"])
def test_what_a_hidden_character_kept_apart_is_composed_when_it_is_gone(typed):
    assert len(kept(typed)) == 1
    assert unicodedata.is_normalized("NFC", kept(typed))


@given(st.sampled_from("aか한👩"), st.lists(st.sampled_from(MARKS), min_size=1, max_size=200))
def test_no_character_is_bigger_than_writing_needs(base, marks):
    text = kept("x" * 100 + base + "".join(marks) + "y" * 100)
    assert text.startswith("x" * 100)
    assert text.endswith("y" * 100)
    assert len(text) <= 200 + 1 + 2 * 8, "a mark may be written as two"


@pytest.mark.parametrize("chain", ["👩\u200d", "👩🏽\u200d", "a\u200d", "a\u200c\u0301", "❤\ufe0f\u200d"])
def test_a_chain_of_joined_ones_is_not_one_character(chain):
    assert graphemes(kept(chain * 60)) >= 60 * len(chain) // 17


@pytest.mark.parametrize(
    "name",
    [
        "👩\u200d❤\ufe0f\u200d💋\u200d👨",
        "👩🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽",
        "🏃🏽\u200d♀\ufe0f\u200d➡\ufe0f",
        "🏳\ufe0f\u200d🌈",
        "葛\U000e0100城",
        "1\ufe0f\u20e3",
        "สมชาย",
        "नमस्ते",
        "Nguyễn",
        "ברוך",
        "བསྒྲུབས",
    ],
)
def test_what_is_written_like_that_stays(name):
    assert clean_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("typed", "name"), [("佐\u200d藤", "佐藤"), ("👩\u200d", "👩"), ("a\u200d👩", "a👩")]
)
def test_a_joiner_outside_an_emoji_goes(typed, name):
    assert clean_name(typed) == name


@given(st.sampled_from(FORMATS + FILLERS), st.integers(0, 2))
def test_texts_that_look_the_same_are_the_same(char, place):
    assert plain("Ab"[:place] + char + "Ab"[place:]) == plain("aB")
    assert plain("お茶") != plain("お湯")
