"""Names that look like other names: two of one *skeleton* are hard to tell apart on a screen.

A skeleton is for comparing only, never shown. It follows the idea of UTS #39 §4 with a small map of our own:
full and half width, case, accents, the two kana, Cyrillic and Greek letters that look Latin, kanji that look
like kana, and kanji that are written in two ways, as names are.
OWASP ASVS 5.0 1.1.1.
"""

import unicodedata
from functools import lru_cache
from typing import Final

from rooms.text import is_invisible

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
_VARIANTS: Final = {
    "髙": "高", "﨑嵜碕": "崎", "斎齋齊": "斉", "邊邉": "辺", "濱濵": "浜", "澤": "沢", "會": "会",
    "曰": "日", "𠮷": "吉", "嶋嶌": "島", "冨": "富", "櫻": "桜", "廣": "広", "國": "国",
    "學": "学", "眞": "真", "靜": "静", "實": "実", "惠": "恵", "龍": "竜", "條": "条",
    "榮": "栄", "淺": "浅", "瀨": "瀬", "瀧": "滝", "藏": "蔵", "豐": "豊", "萬": "万",
    "與": "与", "壽": "寿", "將": "将", "曾": "曽", "增": "増", "曻": "昇", "桒": "桑",
    "栁": "柳", "凛": "凜", "槇": "槙", "遙": "遥", "堯": "尭", "彌": "弥", "禮": "礼",
    "鐵": "鉄", "圓": "円", "傳": "伝", "來": "来", "兒": "児", "勳": "勲", "巖": "巌",
    "戶": "戸", "淸": "清", "燈": "灯", "爲": "為", "當": "当", "稻": "稲", "穗": "穂",
    "總": "総", "綠": "緑", "緖": "緒", "縣": "県", "繩": "縄", "莊": "荘", "藝": "芸",
    "藥": "薬", "螢": "蛍", "覺": "覚", "觀": "観", "讓": "譲", "轉": "転", "醫": "医",
    "釋": "釈", "錄": "録", "關": "関", "靈": "霊", "餘": "余", "鹽": "塩", "黃": "黄",
    "點": "点", "龜": "亀", "峯": "峰", "舘": "館", "昻": "昂", "檜": "桧", "藪籔": "薮",
    "濟": "済", "德": "徳", "籐": "藤", "壯": "壮", "聰": "聡", "祿": "禄", "亞": "亜",
    "俠": "侠", "辨辯瓣": "弁", "鄉": "郷", "鷗": "鴎", "𡈽": "土",
}  # fmt: skip
"""Old and new forms of one kanji, as they stand in names, and a few that are taken for each other."""
_ALIKE: Final = {ord(one): plain for many, plain in (_LATIN | _SIGNS | _VARIANTS).items() for one in many}
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
    return not is_invisible(char) and (
        char in _VOICED
        or unicodedata.category(char)[0] in "LN"
        or unicodedata.category(char) == "Pd"
        or char in "|!"
    )
