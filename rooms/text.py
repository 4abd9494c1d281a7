"""Text that people type: normalised, bounded, and free of characters that deceive the eye."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from rooms.core import Refused

_ZERO_WIDTH_JOINER = "\u200d"
_DECEPTIVE = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff")
_BLANKS = frozenset("\u2800\U0001d159")
"""Signs whose picture is empty: the Braille cell without dots, the note without a head."""
_IGNORABLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""What Unicode calls default-ignorable beyond its format characters: fillers, selectors, reserved ones."""
_SELECTORS = (range(0x180B, 0x180E), range(0x180F, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_PICTURES = (range(0x2190, 0x2200), range(0x2300, 0x27C0), range(0x2B00, 0x2C00), range(0x1F000, 0x1FB00))
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_BIGGEST_CLUSTER = 16
"""Code points per grapheme above which a text is a trick, not writing; the biggest emoji have eleven."""
_MOST_MARKS = 8
"""Marks in a row above which they are stacked to cover other lines; Tibetan needs six."""
_PLAIN = re.compile(
    r"[\n\t -~\u2010-\u2027\u3000-\u3020\u3041-\u3096\u309b-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff9d]*"
)
"""Letters, kana, kanji and punctuation that stand for themselves: normal, harmless, one grapheme each."""


@lru_cache(maxsize=8192)
def is_invisible(char: str) -> bool:
    """Tell whether a character shows nothing by itself and is no white space."""
    code = ord(char)
    return (
        unicodedata.category(char) == "Cf"
        or char in _BLANKS
        or any(first <= code <= last for first, last in _IGNORABLE)
    )


@lru_cache(maxsize=8192)
def _extends(char: str) -> bool:
    """Whether a character belongs to the one before it: a mark, a skin tone, or nothing that is seen."""
    marks = unicodedata.category(char) in {"Mn", "Me", "Mc"}
    return marks or ord(char) in _SKIN_TONES or is_invisible(char)


def _is_picture(char: str) -> bool:
    return any(ord(char) in block for block in _PICTURES)


def _is_selector(char: str) -> bool:
    """Whether a character chooses between forms of the one before it."""
    return any(ord(char) in block for block in _SELECTORS)


@lru_cache(maxsize=8192)
def _harmless(char: str) -> bool:
    """Whether a character may stand in a text: no control, surrogate or change of direction."""
    return char in "\n\t" or (unicodedata.category(char) not in {"Cc", "Cs"} and char not in _DECEPTIVE)


def graphemes(text: str) -> int:
    """Count user-perceived characters: marks, variation selectors and joined emoji count with their base.

    An approximation of UAX #29 that needs no tables beyond the standard library's.
    """
    if _PLAIN.fullmatch(text):
        return len(text)
    count, joined, flags = 0, False, 0
    for char in text:
        if ord(char) in _REGIONAL_INDICATORS:
            flags += 1
            count += flags % 2
            continue
        flags = 0
        if char == _ZERO_WIDTH_JOINER:
            joined = True
            continue
        if not (joined or _extends(char)):
            count += 1
        joined = False
    return count


def clean(text: str, *, least: int = 1, most: int) -> str:
    """Return `text` in NFC without control or direction characters, or refuse.

    Args:
        text: what was typed.
        least: fewest user-perceived characters; of nothing that is seen there are none.
        most: most user-perceived characters.

    Raises:
        Refused: `too_short` or `too_long`, with `at` the limit.
    """
    if len(text) > most * _BIGGEST_CLUSTER:
        raise Refused("too_long", at=most)
    kept = text if _PLAIN.fullmatch(text) else _normal(text)
    kept = kept.strip()
    length = 0 if all(char.isspace() or is_invisible(char) for char in kept) else graphemes(kept)
    if length < least:
        raise Refused("too_short", at=least)
    if length > most or len(kept) > most * 4:
        raise Refused("too_long", at=most)
    return kept


def _normal(text: str) -> str:
    """Give `text` in NFC; filtered before, because a hidden character may keep two others apart."""
    kept = unicodedata.normalize("NFC", "".join(char for char in text if _harmless(char)))
    return unicodedata.normalize("NFC", "".join(_bounded(kept)))


def _bounded(text: str) -> Iterator[str]:
    """Yield the characters without those that make a grapheme bigger than any writing needs."""
    size, marks, joined = 0, 0, False
    for char in text:
        if joined or _extends(char):
            marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
            most = _BIGGEST_CLUSTER - (char == _ZERO_WIDTH_JOINER)  # what it joins has to fit in, too
            if size >= most or marks > _MOST_MARKS:
                continue
            size += 1
        else:
            size, marks = 1, 0
        joined = char == _ZERO_WIDTH_JOINER
        yield char


def _visible(text: str) -> Iterator[str]:
    """Yield the characters that are seen, with selectors of their forms and joiners within an emoji."""
    base, seen = "", ""
    for place, char in enumerate(text):
        if not is_invisible(char):
            base = char
        elif _is_selector(char):
            if not base or base.isspace() or _is_selector(seen or " "):
                continue
        elif char != _ZERO_WIDTH_JOINER or not _joins(base, text[place + 1 : place + 2]):
            continue
        seen = char
        yield char


def _joins(base: str, following: str) -> bool:
    return bool(base and following) and _is_picture(base) and _is_picture(following)


def plain(text: str) -> str:
    """Give what tells one text from another for a reader: without case and whatever is not seen."""
    seen = "".join(char for char in text if not is_invisible(char))
    return unicodedata.normalize("NFC", seen).casefold()


def clean_name(text: str) -> str:
    """Return a display name on one line without invisible characters, or refuse (1 to 40 characters)."""
    kept = "".join(_visible(_normal(text)))
    return clean(" ".join(kept.split()), most=40)
