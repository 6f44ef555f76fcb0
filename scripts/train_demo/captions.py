"""Captions: the words people type, and what they mean for the band.

Each caption comes with the attribute values it states, as the package's own reading of prompts
finds them, so that text encoder and planner never disagree. What it does not state is left open.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from lofi_daemon.backends.demo.prompt import understand
from lofi_daemon.backends.demo.score import ATTRIBUTES
from lofi_daemon.backends.demo.words import PLAIN_WORDS, SCENES, SYNONYMS

Stated = dict[str, str]

FILLERS = (
    "lofi",
    "lo-fi",
    "lofi hip hop",
    "lofi beats",
    "beats to study to",
    "chill",
    "chillhop",
    "study",
    "focus music",
    "relaxing",
    "background music",
    "instrumental",
    "slow",
    "fast",
    "upbeat",
    "sad",
    "happy",
    "nostalgic",
    "peaceful",
    "morning",
    "evening",
    "night",
    "winter",
    "autumn",
    "spring",
    "for reading",
    "for homework",
    "programming music",
    "deep work",
    "gentle",
    "smooth",
    "dreamy",
    "melancholic",
    "calm",
    "groovy",
    "laid back",
    "80 bpm",
    "75 bpm",
    "90 bpm",
    "no drums",
    "drumless",
    "no melody",
    "city lights",
    "train ride",
    "tokyo",
    "cat on the sofa",
    "library",
    "garden",
    "ocean",
    "space",
    "forest",
    "neon",
    "tea",
    "book",
    "homework",
    "weekend",
    "beat",
    "music",
    "track",
    "no vocals",
    "without vocals",
    "simple",
    "easy listening",
    "sunday",
    "holiday",
    "vim",
    "neovim",
    "a quiet street",
    "cloudy afternoon",
    "snow",
    "snowfall",
    "starry sky",
    "bus stop",
    "kitchen",
    "melody",
    "pad",
    "atmospheric",
    "ambient",
    "no singing",
    "no percussion",
    "tape wobble",
)
NOISE_WORDS = Path(__file__).with_name("common_words.txt").read_text(encoding="utf-8").split()
TEMPLATES = (
    "{0}",
    "{0}",
    "{filler} with {0}",
    "{filler}, {0}",
    "{0}, {filler}",
    "{0} {filler}",
    "{filler} {0}",
    "a {filler} track with {0}",
    "{filler} and {0}",
    "some {0} for {filler}",
    "I want {filler} music with {0}",
    "make me a {filler} beat featuring {0}",
    "{0} over {filler}",
    "something {filler}, maybe with {0}",
    "{filler} where you hear {0}",
    "give me {0}, {filler}",
    "please play {0} while I am doing {filler}",
    "the sound of {0} on a {filler} evening",
    "{noise} {0} {noise}",
    "{noise} {noise} {0} {filler} {noise}",
    "{filler} {noise} {0} {noise}",
    "{noise} {filler}",
    "{filler}",
    "{noise} {noise} {noise} {filler} {noise}",
)
HELD_OUT_SENTENCES = (
    "we are up late in the studio and {0} keeps us company until sunrise",
    "can you put together a calm little tune built around {0} that I could read to",
    "my grandmother loved {0}, so make something that reminds me of her kitchen",
    "it should feel like walking home alone with {0} following me down the road",
    "an unhurried instrumental, nothing fancy, just {0} and a steady pulse",
    "quiet background for studying: {0}, nothing too busy",
)
"""Sentences for measuring only; no caption of the training uses them."""


def phrase(attribute: str, value: str, random: Random, synonym: bool) -> str:
    """One way to name a value of an attribute."""
    table = SYNONYMS if synonym else PLAIN_WORDS
    return random.choice(table[(attribute, value)])


def caption(random: Random) -> tuple[str, Stated]:
    """A random caption and what it states."""
    taken = set[str]()
    words: list[str] = []
    # Values are drawn evenly over all that can be said, at most one of each attribute.
    for attribute, value in random.sample(sorted(PLAIN_WORDS), random.choice((1, 1, 2, 2, 3, 4))):
        if attribute not in taken:
            taken.add(attribute)
            words.append(phrase(attribute, value, random, synonym=random.random() < 0.65))
    if random.random() < 0.15:
        words.append(random.choice(SCENES)[0])
    random.shuffle(words)
    template = random.choice(TEMPLATES)
    glue = random.choice((", ", " and ", " ", ", ", " with ", " & "))
    text = template.replace("{0}", glue.join(words))
    while "{filler}" in text:
        text = text.replace("{filler}", random.choice(FILLERS), 1)
    while "{noise}" in text:
        text = text.replace("{noise}", random.choice(NOISE_WORDS), 1)
    return text, understand(text).attributes


def targets(stated: Stated) -> list[float]:
    """One number an attribute value, 1 where it is stated."""
    return [
        float(stated.get(attribute) == value)
        for attribute, values in ATTRIBUTES.items()
        for value in values
    ]
