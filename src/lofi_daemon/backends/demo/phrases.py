"""A prompt as the phrases it is made of: which known words stand in it, and which are refused.

Negation has a scope: "without rain or vinyl" refuses both, "no drums, soft piano" refuses drums
only, and so does "instead of drums use piano". Nothing here knows what a phrase means.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"[a-z0-9#]+(?:'[a-z]+)?|[.,;:!?()&+/=]")
_HARD_STOPS = frozenset(".;!?():")
_PHRASES_OF_REFUSAL = (
    "no", "not", "without", "minus", "lacking", "zero", "except", "excluding", "never", "avoid",
    "skip", "omit", "remove", "mute", "hate", "dislike", "don't", "dont", "do not", "doesn't",
    "does not", "isn't", "aren't", "won't", "can't stand", "free of", "free from", "instead of",
    "rather than", "leave out", "leaving out", "leave away", "take out", "turn off", "switch off",
    "keep out", "forget the", "lose the", "everything but", "all but", "anything but", "less the",
    "other than", "nor", "neither", "ohne", "kein", "keine", "keinen", "sans", "sin", "senza",
)  # fmt: skip
# They look like a refusal and are none.
_PHRASES_OF_PRAISE = (
    "don't forget", "do not forget", "don't skip", "do not skip", "don't leave out", "not only",
    "not just", "can't live without", "cannot live without", "can't do without", "not without",
    "never without", "no problem", "no matter", "no more than", "no less than", "why not",
    "don't mute", "don't remove", "don't omit",
)  # fmt: skip
# Refusals after which a list of commas and "and" goes on being refused.
_LISTING = frozenset({"without", "ohne", "sans", "sin", "senza", "minus", "excluding", "except"})
_TURNS = frozenset({"but", "however", "though", "instead", "just", "only", "please", "yet"})
_TURNS_AFTER_A_PHRASE = frozenset(
    (
        "with", "use", "using", "play", "playing", "give", "add", "have", "make", "want", "take",
        "prefer", "keep", "let", "i", "plus", "featuring", "feat", "over",
    )
)  # fmt: skip
_LINKS = frozenset({"or", "nor", "/", "oder", "ou", "o"})
_ADDING_LINKS = frozenset({"and", "&", "+", "und", "et", "y"})
# "no drums and soft piano" wants the piano.
_WANTING = frozenset(
    (
        "soft", "old", "warm", "clean", "deep", "mellow", "gentle", "quiet", "punchy", "dusty",
        "smoky", "jazzy", "lots", "more", "some",
    )
)  # fmt: skip
_BESIDE_A_LINK = frozenset({"any", "the", "a", "an", "also", "no"})
_REFUSED_AFTERWARDS = frozenset({"none", "off", "no", "zero", "never", "out", "excluded"})
_WANTED = r"(?:wanted|needed|required|allowed|welcome|necessary)"
_NOT_WANTED = re.compile(
    rf"(?:is not|are not|isn't|aren't|not)(?: really)? {_WANTED}"
    r"|(?:is |are )?(?:forbidden|unwanted)"
)


@dataclass
class Phrase:
    """A known phrase at [start, stop) of the tokens, and whether it is refused."""

    words: str
    start: int
    stop: int
    refused: bool = False


def normalised(text: str) -> str:
    """Lower case, no accents, plain apostrophes."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("\u2019", "'"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain.replace("w/o", "without")


def tokens_of(text: str) -> list[str]:
    """Words and punctuation of a normalised text; hyphens part words, except before "less"."""
    glued = re.sub(r"-less\b", "less", text)
    return _TOKEN.findall(re.sub(r"[-\u2010-\u2014_]", " ", glued))


class Lexicon:
    """Finds the longest known phrases in tokens.

    modifiers: phrases that describe the next one ("no sad piano" refuses more than the sadness).
    """

    def __init__(self, phrases: Collection[str], modifiers: Collection[str]) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        for phrase in phrases:
            words = tuple(tokens_of(normalised(phrase)))
            self._known[words] = phrase
            self._known.setdefault((*words[:-1], words[-1] + "s"), phrase)
        self._modifiers = frozenset(modifiers)
        self._longest = max(len(words) for words in self._known)

    def read(self, tokens: list[str]) -> list[Phrase]:
        """The known phrases in order, refused ones marked."""
        found = list(self._matches(tokens))
        _mark_refused(tokens, found, self._modifiers)
        return found

    def _matches(self, tokens: list[str]) -> Iterator[Phrase]:
        at = 0
        while at < len(tokens):
            for size in range(min(self._longest, len(tokens) - at), 0, -1):
                phrase = self._known.get(tuple(tokens[at : at + size]))
                if phrase is not None:
                    yield Phrase(phrase, at, at + size)
                    at += size
                    break
            else:
                stem = tokens[at].removesuffix("less")
                phrase = self._known.get((stem,)) if stem != tokens[at] else None
                if phrase is not None:
                    yield Phrase(phrase, at, at + 1, refused=True)
                at += 1


def starts_with_any(tokens: list[str], at: int, phrases: Collection[str]) -> int:
    """How many tokens at `at` are the longest of `phrases` there; 0 for none."""
    best = 0
    for phrase in phrases:
        words = phrase.split()
        if len(words) > best and tokens[at : at + len(words)] == words:
            best = len(words)
    return best


def _mark_refused(tokens: list[str], found: list[Phrase], modifiers: Collection[str]) -> None:
    begins = {phrase.start: phrase for phrase in found}
    refusing = met = linked = listing = False
    described = False
    at = 0
    while at < len(tokens):
        praised = starts_with_any(tokens, at, _PHRASES_OF_PRAISE)
        refusal = starts_with_any(tokens, at, _PHRASES_OF_REFUSAL)
        phrase = begins.get(at)
        token = tokens[at]
        if praised:
            refusing = False
            at += praised
        elif refusal and not (phrase is not None and phrase.stop - at > refusal):
            refusing, met, linked, described = True, False, False, False
            listing = token in _LISTING
            at += refusal
        elif phrase is not None:
            if refusing and met and not linked and not described:
                refusing = False
            phrase.refused = phrase.refused or refusing or _refused_afterwards(tokens, phrase.stop)
            met, linked, described = True, False, phrase.words in modifiers
            at = phrase.stop
        else:
            if token in _HARD_STOPS or token in _TURNS:
                refusing = False
            elif token == ",":
                linked = met and _list_goes_on(tokens, at + 1, begins, listing)
                refusing = refusing and linked
            elif token in _LINKS:
                linked = True
            elif token in _ADDING_LINKS:
                linked = not met or _goes_on(tokens, at + 1, begins, modifiers, listing)
                refusing = refusing and linked
            elif met and token in _TURNS_AFTER_A_PHRASE:
                refusing = False
            at += 1


def _goes_on(
    tokens: list[str],
    at: int,
    begins: dict[int, Phrase],
    modifiers: Collection[str],
    listing: bool,
) -> bool:
    """Whether what follows an "and" is refused too: a known phrase that nothing recommends."""
    while at < len(tokens) and tokens[at] in _BESIDE_A_LINK:
        at += 1
    phrase = begins.get(at)
    if phrase is None:
        return False
    return listing or not (tokens[at] in _WANTING or phrase.words in modifiers)


def _list_goes_on(tokens: list[str], at: int, begins: dict[int, Phrase], listing: bool) -> bool:
    """Whether the comma before `at` parts members of a refused list, which ends in "or"."""
    last = _LINKS | (_ADDING_LINKS if listing else frozenset[str]())
    while at < len(tokens):
        if at in begins:
            at = begins[at].stop
        elif tokens[at] in last:
            return True
        elif tokens[at] == "," or tokens[at] in _BESIDE_A_LINK:
            at += 1
        else:
            return False
    return False


def _refused_afterwards(tokens: list[str], at: int) -> bool:
    """ "drums: none", "bass off", "drum-free", "drums are not wanted"."""
    if tokens[at : at + 1] == ["free"] and tokens[at + 1 : at + 2] != ["flowing"]:
        return True
    if _NOT_WANTED.match(" ".join(tokens[at : at + 4])):
        return True
    if tokens[at : at + 1] in ([":"], ["="]):
        at += 1
    elif tokens[at : at + 1] not in (["off"], ["none"]):
        return False
    following = tokens[at + 1 : at + 2]
    ends = not following or following[0] in _HARD_STOPS or following[0] == ","
    return tokens[at : at + 1] != [] and tokens[at] in _REFUSED_AFTERWARDS and ends
