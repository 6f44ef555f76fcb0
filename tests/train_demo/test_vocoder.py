"""The vocoder without training: hits stay where they are, and windows go on with each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.train_demo.seams import held_chord, partial_levels
from scripts.train_demo.spectrum import FIRST, HOP, SAMPLE_RATE, SECOND, FrontEnd, log_spectrum
from scripts.train_demo.vocoder import (
    PAST_FRAMES,
    PseudoInverse,
    Sharpener,
    Vocoder,
    crossover,
    interleaved,
    stacked,
)


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    torch.set_num_threads(1)
    return Vocoder(Sharpener(width=16, blocks=1)).eval()


def no_past(vocoder: Vocoder) -> list[torch.Tensor]:
    return [torch.zeros(shape) for shape in vocoder.past_shapes().values()]


def test_nothing_comes_long_before_a_hit(vocoder: Vocoder) -> None:
    rng = np.random.default_rng(0)
    audio = np.zeros((2, 2 * SAMPLE_RATE), np.float32)
    hits = range(SAMPLE_RATE // 4, 2 * SAMPLE_RATE - 8000, SAMPLE_RATE // 4)
    for hit in hits:
        ring = rng.standard_normal(3000) * np.exp(-np.arange(3000) / 600)
        audio[:, hit : hit + 3000] += ring.astype(np.float32) * 0.3
    with torch.no_grad():
        heard = vocoder(log_spectrum(torch.from_numpy(audio)), *no_past(vocoder))[0][0, 0].numpy()
    spectrum = np.fft.rfft(heard)
    spectrum[np.fft.rfftfreq(len(heard), 1 / SAMPLE_RATE) < 3000] = 0
    bright = np.fft.irfft(spectrum)
    before = np.mean([np.mean(bright[hit - 1323 : hit - 441] ** 2) for hit in hits])
    after = np.mean([np.mean(bright[hit : hit + 882] ** 2) for hit in hits])
    assert 10 * np.log10(before / after) < -35


def test_a_window_goes_on_with_the_phases_of_the_one_before(vocoder: Vocoder) -> None:
    mel = log_spectrum(torch.from_numpy(held_chord(6.0)))
    second = 220
    with torch.no_grad():
        first, *presents = vocoder(mel[..., :320], *no_past(vocoder))
        past = [present[..., second : second + PAST_FRAMES] for present in presents]
        following = vocoder(mel[..., second:], *past)[0]
        alone = vocoder(mel[..., second:], *no_past(vocoder))[0]
    join = (second + 40) * HOP

    def deviation(after: torch.Tensor) -> float:
        heard = torch.cat([first[0, 0, :join], after[0, 0, 40 * HOP :]]).numpy()
        found: list[float] = []
        for hertz in (110.0, 164.8, 220.0, 261.6, 329.6, 392.0):
            levels = partial_levels(heard, hertz)[6:-6]
            found.append(float(np.abs(levels - np.median(levels)).max()))
        return max(found)

    assert deviation(following) < 1.0
    assert deviation(alone) > 2.0


def test_ranges_hand_over_completely() -> None:
    heard: dict[int, float] = {}
    for index, each in enumerate(SECOND):
        for place, weight in zip(each.bins, crossover(SECOND, index), strict=True):
            heard[round(place * SAMPLE_RATE / each.window)] = weight
    middle = [weight for hertz, weight in heard.items() if 1100 < hertz < 2400]
    assert set(middle) <= {0.0, 1.0}
    for index, border in enumerate((1000.0, 2500.0)):
        below, above = SECOND[index], SECOND[index + 1]
        for hertz in (border - 30, border, border + 30):
            parts = [
                np.interp(
                    hertz,
                    np.array(each.bins) * SAMPLE_RATE / each.window,
                    crossover(SECOND, which),
                )
                for which, each in ((index, below), (index + 1, above))
            ]
            assert sum(parts) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("front_end", [FIRST, SECOND])
def test_the_inverse_of_the_bands_fits_half_precision(front_end: FrontEnd) -> None:
    for weights in PseudoInverse(front_end).state_dict().values():
        assert weights.abs().max() < 100


def test_stacking_is_undone() -> None:
    high = SECOND[-1]
    frames = torch.randn(2, 10, 24)
    assert torch.equal(interleaved(stacked(frames, high), high), frames)
