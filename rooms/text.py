"""Text that people type: normalised, bounded, and free of characters that deceive the eye."""

import re
import unicodedata
from functools import lru_cache

from rooms.core import Refused

_ZERO_WIDTH_JOINER = "\u200d"
_DECEPTIVE = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff")
_ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\u00ad")
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_BIGGEST_CLUSTER = 16
"""Code points per grapheme above which a text is a trick (stacked marks), not writing."""
_PLAIN = re.compile(
    r"[\n\t -~\u2010-\u2027\u3000-\u3020\u3041-\u3096\u309b-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff9d]*"
)
"""Letters, kana, kanji and punctuation that stand for themselves: normal, harmless, one grapheme each."""


@lru_cache(maxsize=8192)
def _extends(char: str) -> bool:
    """Whether a character belongs to the one before it: a mark, or a skin tone."""
    return unicodedata.category(char) in {"Mn", "Me", "Mc"} or ord(char) in _SKIN_TONES


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
        least: fewest user-perceived characters.
        most: most user-perceived characters.

    Raises:
        Refused: `too_short` or `too_long`, with `at` the limit.
    """
    if len(text) > most * _BIGGEST_CLUSTER:
        raise Refused("too_long", at=most)
    kept = text if _PLAIN.fullmatch(text) else _normal(text)
    kept = kept.strip()
    length = graphemes(kept)
    if length < least:
        raise Refused("too_short", at=least)
    if length > most or len(kept) > most * 4:
        raise Refused("too_long", at=most)
    return kept


def _normal(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFC", text) if _harmless(char))


def clean_name(text: str) -> str:
    """Return a display name on one line without invisible characters, or refuse (1 to 40 characters)."""
    kept = "".join(char for char in text if char not in _ZERO_WIDTH)
    return clean(" ".join(kept.split()), most=40)
