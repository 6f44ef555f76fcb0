"""The prompts that the model is measured on; none of them is a training caption."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import Score
from lofi_daemon.backends.demo.words import PLAIN_WORDS

from .captions import HELD_OUT_SENTENCES, Stated, phrase

JUDGED_VALUES = tuple(
    key
    for key in PLAIN_WORDS
    if key[0] in ("keys", "lead", "kit", "bass", "rain", "vinyl") and not key[1].startswith("no ")
)


@dataclass(frozen=True)
class Request:
    """A prompt, what it asks of the band, how it is worded, and the seed."""

    prompt: str
    stated: Stated
    style: str
    seed: int


def requests(count: int, seed: int) -> list[Request]:
    """`count` requests: half plainly worded, a quarter in synonyms, a quarter whole sentences."""
    random = Random(seed)
    found: list[Request] = []
    for index in range(count):
        style = ("plain", "synonym", "plain", "sentence")[index % 4]
        stated: Stated = {}
        words: list[str] = []
        # Each value is asked for equally often.
        first = JUDGED_VALUES[index % len(JUDGED_VALUES)]
        others = random.sample(JUDGED_VALUES, 3)
        for attribute, value in [first, *others][: random.choice((1, 2, 2))]:
            if attribute not in stated:
                stated[attribute] = value
                words.append(phrase(attribute, value, random, synonym=style != "plain"))
        text = " and ".join(words)
        if style == "sentence":
            text = random.choice(HELD_OUT_SENTENCES).replace("{0}", text)
        elif style == "plain":
            text = f"{random.choice(('lofi hip hop', 'chill beat', 'study music'))}, {text}"
        found.append(Request(text, stated, style, 5000 + 7 * seed + index))
    return found


def planned(request: Request, duration_sec: float) -> Score:
    """The score a band should play: the planner's, with what the prompt states."""
    score = compose(request.prompt, request.seed, duration_sec)
    score = Score(score.bar_frames, {**score.attributes, **request.stated}, score.bars)
    return with_notes(score, request.seed)
