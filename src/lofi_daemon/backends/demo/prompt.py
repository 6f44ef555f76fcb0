"""What a prompt asks of the band: the one reading that planner, text encoder and answer share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from . import words
from .numbers import read_numbers
from .phrases import Lexicon, Phrase, normalised, starts_with_any, tokens_of
from .score import ATTRIBUTES, PARTS

PART_OF_ATTRIBUTE = {"keys": "keys", "lead": "melody", "kit": "drums", "bass": "bass"}
_DESCRIBING = ("tone", "comping")
_ALONE_BEFORE = ("only", "just", "solely", "purely", "exclusively", "nothing but", "solo")
_ALONE_AFTER = (
    "only", "alone", "by itself", "on its own", "unaccompanied", "and nothing else",
    ", nothing else", "solo",
)  # fmt: skip
_BETWEEN_ALONE_AND_SOUND = frozenset(
    (
        "a", "an", "the", "some", "very", "old", "simple", "lonely", "single", "one", "quiet",
        "gentle", "soft", "slow", "warm", "plain", "bare", "of", "sound", "sounds", "little",
        "low", "high",
    )
)  # fmt: skip
_MANY_UNKNOWN = 8


@dataclass(frozen=True)
class Meaning:
    """One thing that a phrase says: kind is what `name` and `value` are about.

    "band" (attribute, value), "mood", "part", "faint" (a part, where refused), "mode" (minor,
    major), "stand_in" (attribute, value that plays instead), "missing".
    """

    kind: str
    name: str
    value: str = ""


@dataclass(frozen=True)
class Understanding:
    """What was read from a prompt.

    attributes: values of the band that were asked for. refused: attribute values that must not
    be drawn. moods, asked (parts), left_out (parts). only: the parts that may play, None for all.
    beats_per_minute as written, key a pitch class, minor None where the mode is open.
    replaced: (what was asked, what plays instead), "" where nothing does. unknown: words that
    say nothing to this model.
    """

    attributes: dict[str, str] = field(default_factory=dict[str, str])
    refused: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    moods: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    beats_per_minute: float | None = None
    key: int | None = None
    minor: bool | None = None
    replaced: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The sounds that were asked for, in the words that the text encoder knows best."""
        named = [words.PLAIN_WORDS[item][0] for item in self.attributes.items()]
        return ", ".join(named) or "music"


def understand(prompt: str) -> Understanding:
    """Read a prompt; words it does not know say nothing."""
    numbers = read_numbers(normalised(prompt))
    tokens = tokens_of(numbers.rest)
    phrases = _lexicon().read(tokens)
    alone = _alone(tokens, phrases)
    reading = _Reading()
    for phrase in phrases:
        for meaning in _meanings()[phrase.words]:
            if phrase.refused:
                reading.refuse(meaning)
            else:
                reading.take(meaning, phrase.words)
        if phrase.refused:
            reading.refuse_family(phrase.words)
    return reading.finished(
        only=_parts_of(alone) if alone else None,
        beats_per_minute=numbers.beats_per_minute,
        key=numbers.key,
        minor=numbers.minor,
        unknown=_unknown(tokens, phrases),
    )


class _Reading:
    """Gathers what the phrases say, in their order."""

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.suggested: dict[str, str] = {}
        self.refused: dict[str, set[str]] = {}
        self.moods: set[str] = set()
        self.refused_moods: set[str] = set()
        self.asked: set[str] = set()
        self.left_out: set[str] = set()
        self.minor: bool | None = None
        self.substitutes: list[tuple[str, Meaning]] = []
        self.replaced: list[tuple[str, str]] = []

    def take(self, meaning: Meaning, phrase: str) -> None:
        match meaning.kind:
            case "band":
                given = self.attributes.setdefault(meaning.name, meaning.value)
                if given != meaning.value and meaning.name not in _DESCRIBING:
                    self.replaced.append((phrase, given))
                if meaning.name in PART_OF_ATTRIBUTE:
                    self.asked.add(PART_OF_ATTRIBUTE[meaning.name])
            case "scene":
                self.suggested.setdefault(meaning.name, meaning.value)
            case "mood":
                self.moods.add(meaning.name)
            case "part":
                self.asked.add(meaning.name)
            case "mode":
                self.minor = meaning.name == "minor"
            case "stand_in":
                self.substitutes.append((phrase, meaning))
            case "missing":
                self.replaced.append((phrase, ""))
            case _:
                pass

    def refuse(self, meaning: Meaning) -> None:
        match meaning.kind:
            case "band":
                self.refused.setdefault(meaning.name, set()).add(meaning.value)
            case "mood":
                self.refused_moods.add(meaning.name)
            case "part" | "faint":
                self.left_out |= set(PARTS) if meaning.name == "all" else {meaning.name}
            case "mode":
                self.minor = meaning.name != "minor"
            case "stand_in" if meaning.name == "pad":
                self.left_out.add("pad")
            case _:
                pass

    def refuse_family(self, phrase: str) -> None:
        for attribute, values in words.FAMILIES.get(phrase, {}).items():
            self.refused.setdefault(attribute, set()).update(values)

    def finished(
        self,
        *,
        only: frozenset[str] | None,
        beats_per_minute: float | None,
        key: int | None,
        minor: bool | None,
        unknown: tuple[str, ...],
    ) -> Understanding:
        for phrase, meaning in self.substitutes:
            self._stand_in(phrase, meaning)
        # What is asked for outright is no member of a family that was refused.
        refused = {
            name: frozenset(values) - {self.attributes.get(name, "")}
            for name, values in self.refused.items()
        }
        for name, value in self.suggested.items():
            if value not in refused.get(name, frozenset()):
                self.attributes.setdefault(name, value)
        left_out = frozenset(self.left_out)
        for name, part in PART_OF_ATTRIBUTE.items():
            if set(ATTRIBUTES[name]) <= refused.get(name, frozenset()):
                left_out |= {part}
        return Understanding(
            attributes=self.attributes,
            refused={name: values for name, values in refused.items() if values},
            moods=frozenset(self.moods - self.refused_moods),
            asked=frozenset(self.asked) - left_out,
            left_out=left_out,
            only=only,
            beats_per_minute=beats_per_minute,
            key=key,
            minor=self.minor if minor is None else minor,
            replaced=tuple(dict.fromkeys(self.replaced)),
            unknown=unknown,
        )

    def _stand_in(self, phrase: str, meaning: Meaning) -> None:
        if meaning.name == "pad":
            self.asked.add("pad")
            self.replaced.append((phrase, "pad"))
            return
        taken = meaning.name in self.attributes
        if not taken and meaning.value not in self.refused.get(meaning.name, set()):
            self.attributes[meaning.name] = meaning.value
            taken = True
        self.asked.add(PART_OF_ATTRIBUTE[meaning.name])
        self.replaced.append((phrase, self.attributes[meaning.name] if taken else ""))


def _alone(tokens: list[str], phrases: list[Phrase]) -> list[Phrase]:
    """The phrases that are to play alone: "solo piano", "just drums and bass", "pad only"."""
    begins = {phrase.start: index for index, phrase in enumerate(phrases)}
    ends = {phrase.stop: index for index, phrase in enumerate(phrases)}
    found: list[Phrase] = []
    for at in range(len(tokens)):
        size = starts_with_any(tokens, at, _ALONE_BEFORE)
        if size and tokens[at - 1 : at] != ["not"]:
            found += _sounds_from(tokens, phrases, begins, at + size)
        if at in ends and (size := starts_with_any(tokens, at, _ALONE_AFTER)):
            last = phrases[ends[at]]
            others = [each for each in phrases if _sounds(each) and each is not last]
            # "a saxophone solo" is a lead, "piano solo" a pianist with nobody else.
            is_solo = tokens[at] == "solo"
            if not is_solo or (not _parts_of([last]) & {"melody"} and len(others) <= 1):
                found += _sounds_before(tokens, phrases, ends, at)
    found = [phrase for phrase in found if not phrase.refused and phrase.words != "solo"]
    return found if any(_sounds(phrase) for phrase in found) else []


def _sounds_from(
    tokens: list[str], phrases: list[Phrase], begins: dict[int, int], at: int
) -> list[Phrase]:
    found: list[Phrase] = []
    while at < len(tokens):
        if at in begins:
            found.append(phrases[begins[at]])
            at = found[-1].stop
        elif tokens[at] in ("and", "&", "+", "or") or tokens[at] in _BETWEEN_ALONE_AND_SOUND:
            at += 1
        elif any(_sounds(phrase) for phrase in found) or tokens[at] in ",.;!?:()":
            break
        elif len(found) == 0 and tokens[at] not in ("with", "for", "to", "while", "like", "that"):
            # One describing word that is not known: "just a battered piano".
            if at + 1 not in begins:
                break
            at += 1
        else:
            break
    return found


def _sounds_before(
    tokens: list[str], phrases: list[Phrase], ends: dict[int, int], at: int
) -> list[Phrase]:
    found: list[Phrase] = []
    while at in ends:
        found.append(phrases[ends[at]])
        at = found[-1].start
        while at > 0 and tokens[at - 1] in ("and", "&", "+", "a", "the"):
            at -= 1
    return found


def _sounds(phrase: Phrase) -> bool:
    """Whether a phrase names something that can play: an instrument, a part or a texture."""
    return any(
        (meaning.kind in ("band", "stand_in") and meaning.name not in _DESCRIBING)
        or (meaning.kind == "part" and phrase.words not in ("solo", "solos"))
        for meaning in _meanings()[phrase.words]
    )


def _parts_of(phrases: list[Phrase]) -> frozenset[str]:
    """The parts that phrases name; a texture names none."""
    parts = set[str]()
    for phrase in phrases:
        for meaning in _meanings()[phrase.words]:
            if meaning.kind in ("band", "stand_in"):
                parts.add(PART_OF_ATTRIBUTE.get(meaning.name, meaning.name))
            elif meaning.kind in ("part", "faint"):
                parts.add(meaning.name)
    if "drums" in parts:
        parts.add("hats")
    return frozenset(parts & set(PARTS))


def _unknown(tokens: list[str], phrases: list[Phrase]) -> tuple[str, ...]:
    known = {at for phrase in phrases for at in range(phrase.start, phrase.stop)}
    silent = _silent()
    said = [
        token
        for at, token in enumerate(tokens)
        if at not in known and len(token) > 1 and token[0].isalpha() and token not in silent
    ]
    return tuple(dict.fromkeys(said))[:_MANY_UNKNOWN]


@cache
def _silent() -> frozenset[str]:
    return frozenset(words.SILENT_WORDS.split())


@cache
def _meanings() -> dict[str, tuple[Meaning, ...]]:
    """Every phrase and what it means."""
    gathered: dict[str, list[Meaning]] = {}

    def add(phrases: tuple[str, ...], meaning: Meaning) -> None:
        for phrase in phrases:
            gathered.setdefault(phrase, []).append(meaning)

    for table in (words.PLAIN_WORDS, words.SYNONYMS):
        for (attribute, value), phrases in table.items():
            add(phrases, Meaning("band", attribute, value))
    for phrase, suggested in words.SCENES:
        for attribute, value in suggested.items():
            add((phrase,), Meaning("scene", attribute, value))
    for mood, phrases in words.MOODS.items():
        add(phrases, Meaning("mood", mood))
    for part, phrases in words.PARTS.items():
        add(phrases, Meaning("part", part))
    for part, phrases in words.FAINT_PARTS.items():
        add(phrases, Meaning("faint", part))
    for mode, phrases in words.MODES.items():
        add(phrases, Meaning("mode", mode))
    for (attribute, value), phrases in words.STAND_INS.items():
        add(phrases, Meaning("stand_in", attribute, value))
    for phrase in words.FAMILIES:
        gathered.setdefault(phrase, [])
    add(words.MISSING, Meaning("missing", ""))
    return {phrase: tuple(meanings) for phrase, meanings in gathered.items()}


@cache
def _lexicon() -> Lexicon:
    modifiers = {
        phrase
        for phrase, meanings in _meanings().items()
        if meanings
        and all(
            meaning.kind in ("mood", "mode", "scene")
            or (meaning.kind == "band" and meaning.name in _DESCRIBING)
            for meaning in meanings
        )
    }
    return Lexicon(_meanings(), modifiers)
