"""Names that look like other names: two of one *skeleton* are hard to tell apart on a screen.

A skeleton is for comparing only, never shown. It follows the idea of UTS #39 §4 with a small map of our own:
full and half width, case, accents, the two kana, Cyrillic and Greek letters that look Latin, and kanji that
look like kana.
OWASP ASVS 5.0 1.1.1.
"""

import unicodedata
from functools import lru_cache
from typing import Final

_LATIN: Final = {
    "аαａ": "a", "вβʙ": "b", "сϲç": "c", "ԁ": "d", "еεё": "e", "ғ": "f", "ɡ": "g",
    "нһ": "h", "іιїl1|!ı": "i", "јϳ": "j",
    "кκ": "k", "мμ": "m", "пηո": "n", "оοσо0ο": "o", "рρ": "p", "ԛ": "q", "гг": "r", "ѕ": "s",
    "тτ": "t", "уυүγ": "y",
    "ѵν": "v", "ѡω": "w", "хχ": "x", "ᴢζ": "z",
}  # fmt: skip
_SIGNS: Final = {
    "一―—–‐-−ｰ": "ー", "二": "ニ", "口": "ロ", "力": "カ", "八": "ハ", "工": "エ", "夕": "タ",
    "卜": "ト", "才": "オ",
    "千": "チ", "三": "ミ", "又": "ヌ",
}  # fmt: skip
_ALIKE: Final = {ord(one): plain for many, plain in (_LATIN | _SIGNS).items() for one in many}
_KATAKANA: Final = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_VOICED: Final = frozenset("\u3099\u309a")
"""Marks that make another kana, not another style of the same."""


@lru_cache(maxsize=8192)
def skeleton(name: str) -> str:
    """Return what is left of a name when everything is taken away that the eye forgives."""
    wide = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(char for char in wide if _counts(char))
    plain = unicodedata.normalize("NFC", kept).translate(_KATAKANA).translate(_ALIKE)
    return plain.replace("rn", "m").replace("vv", "w")


def _counts(char: str) -> bool:
    """Whether a character is seen as one: a letter, a digit, a dash, or the mark that voices a kana."""
    return (
        char in _VOICED
        or unicodedata.category(char)[0] in "LN"
        or unicodedata.category(char) == "Pd"
        or char in "|!"
    )
