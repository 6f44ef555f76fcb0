"""The bundled model goes on from its own tracks: longer, a part anew, another like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.tracks import Track
from tests.studio import RATE, Studio, assert_no_seam, likeness_db

RAMP = round(0.05 * RATE)
GIVEN = {"prompt": "rhodes with drums", "seed": 3, "backend": "demo", "inference_steps": 4}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("tracks"), Registry(load_settings({})), "demo")


@pytest.fixture(scope="module")
def source(studio: Studio) -> Track:
    return studio.made(**GIVEN, duration_sec=8)


def test_an_extension_is_its_parent_up_to_the_join_and_goes_on_without_a_seam(
    studio: Studio, source: Track
) -> None:
    longer = studio.made(task="extend", source=source.track_id, span=[8, 14], seed=1)
    assert longer.duration_sec == 14.0
    assert longer.span is not None
    join = round(longer.span[0] * RATE)
    assert 0 < join < 8 * RATE
    before, after = studio.sound(source), studio.sound(longer)
    kept = join - RAMP
    assert likeness_db(before[:, :kept], after[:, :kept]) > 60
    assert_no_seam(after, join, RAMP)
    new = np.sqrt(np.mean(after[:, join : join + 3 * RATE] ** 2))
    assert new > 0.25 * np.sqrt(np.mean(before[:, :kept] ** 2))


def test_an_extension_can_be_extended(studio: Studio, source: Track) -> None:
    longer = studio.made(task="extend", source=source.track_id, span=[8, 12], seed=1)
    longest = studio.made(task="extend", source=longer.track_id, span=[12, 16], seed=1)
    assert (longest.duration_sec, longest.parent) == (16.0, longer.track_id)


def test_music_comes_before_in_whole_bars(studio: Studio, source: Track) -> None:
    longer = studio.made(task="extend", source=source.track_id, span=[-3, 0], seed=1)
    assert longer.span is not None
    offset = round(-longer.span[0] * RATE)
    assert longer.duration_sec == pytest.approx(8.0 - longer.span[0], abs=1e-4)
    before, after = studio.sound(source), studio.sound(longer)
    first = round(longer.span[1] * RATE) + RAMP
    kept = after[:, offset + first : offset + before.shape[1]]
    assert likeness_db(before[:, first : first + kept.shape[1]], kept) > 60
    assert_no_seam(after, offset + first, RAMP)


def test_a_part_anew_leaves_the_rest_as_it_was(studio: Studio, source: Track) -> None:
    given = {"task": "repaint", "source": source.track_id, "span": [3, 5], "seed": 9}
    anew = studio.made(**given, prompt="flute and drums")
    before, after = studio.sound(source), studio.sound(anew)
    start, stop = 3 * RATE - RAMP, 5 * RATE + RAMP
    assert likeness_db(before[:, :start], after[:, :start]) > 60
    assert likeness_db(before[:, stop:], after[:, stop:]) > 60
    assert likeness_db(before[:, 3 * RATE : 5 * RATE], after[:, 3 * RATE : 5 * RATE]) < 10
    assert_no_seam(after, 3 * RATE, RAMP)
    content = studio.tracks.path(anew).read_bytes()
    again = studio.made(**given, prompt="flute and drums")
    assert studio.tracks.path(again).read_bytes() == content
    assert (again.track_id, again.prompt) == (anew.track_id, "flute and drums")


def test_a_variation_of_nothing_is_the_same_track_and_distance_grows(
    studio: Studio, source: Track
) -> None:
    def varied(strength: float) -> Track:
        return studio.made(
            task="variation", source=source.track_id, strength=strength, variation_seed=5
        )

    content = studio.tracks.path(source).read_bytes()
    same = varied(0.0)
    assert (same.track_id, same.parent) == (source.track_id, None)
    assert studio.tracks.path(same).read_bytes() == content
    first = studio.latents(source)
    far = [float(np.abs(studio.latents(varied(each)) - first).mean()) for each in (0.1, 0.4, 1.0)]
    assert 0.0 < far[0] < far[1] < far[2]


def test_tracks_that_kept_nothing_and_other_versions_are_refused(
    studio: Studio, source: Track
) -> None:
    request = studio.asked(task="extend", source=source.track_id).recipe.request
    assert request.task is not None
    backend = studio.registry.get("demo")

    def asked(**changes: Any) -> Callable[[], object]:
        assert request.task is not None
        task = replace(request.task, source=replace(request.task.source, **changes))
        return lambda: backend.resolve(replace(request, task=task))

    with pytest.raises(InvalidParams, match="not beside it"):
        asked(material=None)()
    with pytest.raises(InvalidParams, match=r"made by .* 0\.9"):
        asked(model_version="0.9")()
