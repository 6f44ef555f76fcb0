"""What the bundled model makes of its own tracks, measured on the sound: tempo, key, words."""

from __future__ import annotations

import numpy as np
import pytest

from lofi_daemon.backends.demo.score import decode
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track
from tests.heard import beats_per_minute, brightness_db, drums_db, transposed_by
from tests.studio import RATE, Studio, likeness_db

SECONDS = 24
RAMP = round(0.05 * RATE)
WORDS = {1: "electric piano, drums, 72 bpm", 2: "piano, drums, 84 bpm", 4: "guitar, drums, 94 bpm"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("tracks"), Registry(load_settings({})), "demo")


@pytest.fixture(scope="module", params=list(WORDS))
def source(studio: Studio, request: pytest.FixtureRequest) -> Track:
    seed = request.param
    return studio.made(prompt=WORDS[seed], seed=seed, duration_sec=SECONDS, backend="demo")


def planned_bpm(studio: Studio, track: Track) -> float:
    path = studio.tracks.material(track)
    assert path is not None
    return decode(read_material(path)["score"][0].tolist()).beats_per_minute


def test_more_of_a_track_keeps_its_tempo_and_its_key(studio: Studio, source: Track) -> None:
    length = source.duration_sec
    longer = studio.made(
        task="extend", source=source.track_id, span=[length, length + 16], seed=source.seed + 10
    )
    assert longer.span is not None
    join = round(longer.span[0] * RATE)
    sound = studio.sound(longer)
    old, new = sound[:, :join], sound[:, join : -2 * RATE]
    planned = planned_bpm(studio, source)
    measured = {"planned": planned, "old": beats_per_minute(old), "new": beats_per_minute(new)}
    print(f"extend, seed {source.seed}: {measured}, transposed {transposed_by(new, old)}")
    assert measured["new"] == pytest.approx(planned, rel=0.02)
    assert transposed_by(new, old) == 0


def test_a_track_that_goes_on_from_another_keeps_its_tempo_and_its_key(
    studio: Studio, source: Track
) -> None:
    words = "flute, vibraphone, drums, 100 bpm"
    given = {"prompt": words, "seed": source.seed + 20, "duration_sec": 20}
    flow = studio.made(task="flow", source=source.track_id, **given)
    assert flow.span is not None
    old = studio.sound(source)[:, : round(flow.span[0] * RATE)]
    new = studio.sound(flow)[:, : -2 * RATE]
    planned = planned_bpm(studio, source)
    print(
        f"flow, seed {source.seed}: planned {planned}, new {beats_per_minute(new)}, "
        f"transposed {transposed_by(new, old)}"
    )
    assert beats_per_minute(new) == pytest.approx(planned, rel=0.02)
    assert transposed_by(new, old) == 0


def test_the_measures_tell_other_tempos_and_keys(studio: Studio, source: Track) -> None:
    """What they hold would fail for another track, or the same one raised."""
    old = studio.sound(source)
    raised = np.stack([np.interp(np.arange(0, len(each), 2 ** (3 / 12)), np.arange(len(each)), each)
                       for each in old])  # fmt: skip
    assert transposed_by(raised, old) == -3
    faster = beats_per_minute(raised) / planned_bpm(studio, source)
    assert faster not in (pytest.approx(1.0, rel=0.02),)


@pytest.mark.parametrize(
    ("words", "without"),
    [("piano, drums, bright", "piano, no drums"), ("piano, no drums", "piano, drums, busy")],
)
def test_a_part_anew_follows_its_words_and_the_rest_stays(
    studio: Studio, words: str, without: str
) -> None:
    source = studio.made(prompt=words, seed=6, duration_sec=SECONDS, backend="demo")
    anew = studio.made(task="repaint", source=source.track_id, span=[8, 16], seed=7, prompt=without)
    before, after = studio.sound(source), studio.sound(anew)
    start, stop = 8 * RATE, 16 * RATE
    for outside in (slice(0, start - RAMP), slice(stop + RAMP, None)):
        assert likeness_db(before[:, outside], after[:, outside]) > 60
    part = slice(start + RATE, stop - RATE)
    hits = drums_db(after[:, part]) - drums_db(before[:, part])
    assert (hits < -3) if "no drums" in without else (hits > 3)


def test_a_part_anew_can_be_darker_or_brighter(studio: Studio) -> None:
    source = studio.made(
        prompt="electric piano, drums, dark", seed=6, duration_sec=SECONDS, backend="demo"
    )
    anew = [
        studio.made(task="repaint", source=source.track_id, span=[8, 16], seed=7, prompt=words)
        for words in ("electric piano, drums, dark", "electric piano, drums, bright")
    ]
    part = slice(9 * RATE, 15 * RATE)
    dark, bright = (brightness_db(studio.sound(each)[:, part]) for each in anew)
    print(f"dark {dark:.1f} dB, bright {bright:.1f} dB")
    assert bright > dark + 1
