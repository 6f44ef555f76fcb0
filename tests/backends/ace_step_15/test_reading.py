"""Tempo, key and metre in the words of prompts."""

from __future__ import annotations

import pytest

from lofi_daemon.backends.ace_step_15.prompt import Facts
from lofi_daemon.backends.ace_step_15.reading import described, read_facts


@pytest.mark.parametrize(
    ("prompt", "facts"),
    [
        ("lofi beats, 70 bpm, in A minor, 6/8", Facts(70, "A minor", "6")),
        ("BPM: 92, F# major", Facts(92, "F# major")),
        ("slow piano at 60 beats per minute", Facts(60)),
        ("Bb major waltz in 3/4", Facts(None, "Bb major", "3")),
        ("B flat major", Facts(None, "Bb major")),
        ("in c sharp minor", Facts(None, "C# minor")),
        ("rain in a minor, 4/4", Facts(None, "A minor", "4")),
        ("in F#m", Facts(None, "F# minor")),
        ("E-minor", Facts(None, "E minor")),
        ("in a minor mood", Facts()),
        ("a minor setback, no key", Facts()),
        ("I Am tired", Facts()),
        ("999 bpm", Facts()),
        ("12 bpm", Facts()),
        ("12/8 or 5/4 time, 24/48", Facts()),
        ("a major chord", Facts()),
        ("", Facts()),
    ],
)
def test_what_is_read(prompt: str, facts: Facts) -> None:
    assert read_facts(prompt) == facts


def test_facts_in_a_line() -> None:
    assert described(Facts(70, "A minor", "6")) == "70 bpm, A minor, 6/8"
    assert described(Facts(time_signature="3")) == "3/4"
    assert described(Facts()) == ""
