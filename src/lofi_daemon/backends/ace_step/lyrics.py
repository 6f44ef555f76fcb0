"""Lyrics as the model reads them: lines in marked languages, then ids of its own vocabulary.

The form is the original's (ace-step/ACE-Step d612523, `pipeline_ace_step.py`, tokenize_lyrics, and
`lyrics_utils/lyric_tokenizer.py`): a start mark, every line in small letters behind the mark of its
language, and the mark of a blank after each. Three things are other than there. The language of a
line is read from its letters, or named, and not guessed by a classifier. A tag with more in its
brackets is the tag itself. What the original has transcribed by dictionaries (digits, and Chinese,
Japanese and Korean writing) is refused, with a word about how to write it instead.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np

from lofi_daemon.backends.ace_step.lyric_words import SIGNS, SPOKEN_SIGNS, TITLES
from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds
from lofi_daemon.errors import InvalidParams, ModelLoadFailed
from lofi_daemon.models.store import exists

LYRIC_TOKENIZER = "lyric_tokenizer.json"
SOURCE = "acestep/models/lyrics_utils/vocab.json of github.com/ace-step/ACE-Step"

START = 261
BLANK = 2
BLANK_MARK = "[SPACE]"
TAGS = (
    *("start", "intro", "verse", "chorus", "bridge", "outro", "end", "inst", "solo", "hook"),
    *("pre-chorus", "break"),
)

# How the Unicode names of a writing's letters begin, and whose it is.
_WRITINGS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "ARABIC": "ar",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
}
_IN_LATIN_LETTERS = {
    "zh": "as pinyin with tone numbers, such as ni3hao3, and name language=zh",
    "ja": "in romaji, and name language=ja",
    "ko": "in Latin letters, and name language=ko",
}
# A tone has a number; Hindi is read as it is written.
_MAY_HAVE_DIGITS = ("zh", "hi")
_TAG = re.compile(rf"\[({'|'.join(TAGS)})\b[^\]]*\]")
_ANY_TAG = re.compile(r"\[.*?\]")


def marked_lines(lyrics: str, language: str | None = None) -> list[str]:
    """The lines as the tokenizer gets them, without blanks and with their language; "" is empty.

    language: of lines in Latin letters, English where it is None.
    Raises InvalidParams for what has to be written otherwise.
    """
    lines = [line.strip() for line in lyrics.split("\n")]
    return [_marked(line, number, language) for number, line in enumerate(lines, 1)]


def lyric_ids(lines: list[str], vocabulary: Path) -> LyricIds:
    """The lyric's tokens. Raises ModelLoadFailed where the vocabulary is missing or broken."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(vocabulary))
    except Exception as error:  # what is written in Rust raises Exception itself
        raise ModelLoadFailed(
            f"Model file {vocabulary} cannot be loaded: {error}", hint=f"It is {SOURCE}."
        ) from error
    found = [START]
    for line in lines:
        found += [*(tokenizer.encode(line).ids if line else []), BLANK]
    ids = np.array([found], dtype=np.int64)
    return LyricIds(ids, np.ones_like(ids))


def raise_if_missing(vocabulary: Path) -> None:
    """Raises InvalidParams where the installed model has no vocabulary to sing with."""
    if not exists(vocabulary):
        raise InvalidParams(
            f"lyrics: ACE-Step's vocabulary for them is not there: {vocabulary}.",
            hint=f"Put {SOURCE} there, or leave the lyrics out.",
            parameters=["lyrics"],
        )


def _marked(line: str, number: int, named: str | None) -> str:
    if not line:
        return ""
    is_tag = _ANY_TAG.match(line) is not None
    language = "en" if is_tag else _language(line, number) or named or "en"
    text = line if language == "hi" else line.replace('"', "")
    if language == "tr":
        text = text.replace("İ", "i")
    text = text.lower()
    if is_tag:
        text = _TAG.sub(r"[\1]", text, count=1)
    digits = re.search(r"\d+", text)
    if digits is not None and language not in _MAY_HAVE_DIGITS:
        raise InvalidParams(
            f"lyrics: line {number} has {digits[0]} in digits.",
            hint="ACE-Step reads words: write it as it is sung.",
            parameters=["lyrics"],
        )
    text = re.sub(r"\s+", " ", _spoken(text, language))
    mark = "zh-cn" if language == "zh" else language
    return f"[{mark}]{text}".replace(" ", BLANK_MARK)


def _language(line: str, number: int) -> str | None:
    """Whose writing the line is in, None for Latin letters. Raises InvalidParams."""
    names = [unicodedata.name(letter, "").partition(" ")[0] for letter in line if letter.isalpha()]
    language = next((_WRITINGS[each] for each in _WRITINGS if each in names), None)
    if language in _IN_LATIN_LETTERS:
        raise InvalidParams(
            f"lyrics: line {number} is in a writing that is not transcribed here.",
            hint=f"Write it {_IN_LATIN_LETTERS[language]}.",
            parameters=["lyrics"],
        )
    return language


def _spoken(text: str, language: str) -> str:
    """Titles and signs as they are said, with no two blanks where a sign was."""
    end = r"\b" if language == "ru" else r"\."
    for title, said in TITLES.get(language, {}).items():
        text = re.sub(rf"\b{title}{end}", said, text)
    signs = SPOKEN_SIGNS.get(language)
    if signs is None:
        return text
    for sign, said in zip(SIGNS, signs, strict=True):
        text = text.replace(sign, f" {said} ").replace("  ", " ")
    return text.strip()
