"""The shipped vocoder carries held partials over the borders of its windows."""

from __future__ import annotations

from lofi_daemon.backends.demo.files import BUNDLE
from scripts.train_demo.seams import held_chord, largest_deviations, through_decoder


def test_held_partials_pass_a_border_within_a_decibel() -> None:
    # 18 s are two windows of the shipped vocoder.
    found = largest_deviations(through_decoder(BUNDLE, held_chord(18.0)))
    assert max(found.values()) < 1.0
