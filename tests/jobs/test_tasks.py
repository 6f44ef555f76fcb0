"""Requests that begin with other music: what they leave open, their names, and their family."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.tasks import Source, Task, TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import AudioPlaybackError, InvalidParams, TrackNotFound
from lofi_daemon.jobs.requests import Resolved, resolve
from lofi_daemon.jobs.tasks import with_source
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.tracks import Track, TrackCache, track_id
from lofi_daemon.tracks.writing import write_track
from tests.tone_backend import TASKS, ToneBackend

RATE = 48000


class Copying(ToneBackend):
    """Takes any sound, and how far to go from it."""

    @property
    def info(self) -> Any:
        offers = (TaskOffer("from_audio", files=True, strength=True), TaskOffer("extend", True))
        return replace(super().info, name="The copier", tasks=offers)


class Library:
    """A registry of two backends, a cache, and ways to make tracks in it."""

    def __init__(self, folder: Path) -> None:
        self.tracks = TrackCache(folder, 10**9)
        self.tracks.prepare()
        made: dict[str, Any] = {"demo": ToneBackend(), "copier": Copying(type="copier")}
        self.registry = Registry(
            Settings(), {name: lambda _, each=each: each for name, each in made.items()}
        )
        self.model = self.registry.taking_options(GenerationParameters)

    def varies_only(self) -> None:
        """The first backend can do variations alone, as one whose model is elsewhere."""
        self.registry.get("demo").offers = (TaskOffer("variation", strength=True),)  # pyright: ignore[reportAttributeAccessIssue]

    def asked(self, **given: Any) -> Resolved:
        parameters = parse(self.model, given)
        origin = None
        if parameters.task is not None:
            parameters, origin = with_source(self.tracks, parameters)
        return resolve(self.registry, parameters, origin)

    def made(self, **given: Any) -> Track:
        return self.written(self.asked(**given))

    def written(self, resolved: Resolved, pitch: float = 220.0) -> Track:
        seconds = resolved.recipe.request.duration_sec
        wave = 0.3 * np.sin(2 * np.pi * pitch / RATE * np.arange(round(seconds * RATE)))
        material = {"latents": np.full((1, 8, 16, 4), pitch, np.float16)}
        clip = AudioClip(np.tile(wave, (2, 1)).astype(np.float32), RATE, material)
        return write_track(
            self.tracks,
            clip,
            resolved.recipe,
            track_format="wav16",
            elapsed_sec=lambda: 1.0,
            cancel=CancelToken(),
        )


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "tracks")


@pytest.fixture
def track(library: Library) -> Track:
    return library.made(prompt="rain", seed=7, duration_sec=6, backend="demo", inference_steps=5)


def test_what_is_left_out_is_the_sources(library: Library, track: Track) -> None:
    request = library.asked(task="repaint", source=track.track_id, span=[1, 3]).recipe.request
    options = request.options_as(DiffusionOptions)
    assert (request.prompt, request.duration_sec, options.inference_steps) == ("rain", 6.0, 5)
    assert request.task is not None
    assert request.task.span == (1, 3)
    other = library.asked(
        task="repaint", source=track.track_id, span=[1, 3], prompt="snow", inference_steps=9
    ).recipe.request
    assert (other.prompt, other.options_as(DiffusionOptions).inference_steps) == ("snow", 9)
    assert other.seed != request.seed


def test_a_quality_goes_before_the_sources_steps(library: Library, track: Track) -> None:
    given = {"task": "extend", "source": track.track_id, "quality": "fast"}
    parameters, _ = with_source(library.tracks, parse(library.model, given))
    assert (parameters.model_dump()["inference_steps"], parameters.duration_sec) == (None, 36.0)


def test_a_variation_is_the_same_request_from_another_start(library: Library, track: Track) -> None:
    def varied(**given: Any) -> GenerationRequest:
        return library.asked(task="variation", source=track.track_id, **given).recipe.request

    near = varied(strength=0.25)
    assert (near.prompt, near.seed, near.task, near.parent) == ("rain", 7, None, track.track_id)
    options = near.options_as(DiffusionOptions)
    assert options.variation == 0.25
    assert varied(strength=0.25).options_as(DiffusionOptions) != options
    named = varied(strength=0.25, variation_seed=3).options_as(DiffusionOptions)
    assert (named.variation, named.variation_seed) == (0.25, 3)


def test_a_variation_of_a_loop_is_a_loop_and_more_of_it_is_none(library: Library) -> None:
    loop = library.made(
        prompt="rain", seed=7, duration_sec=9, backend="demo", inference_steps=5, loop=True
    )
    assert loop.loops
    near = library.asked(task="variation", source=loop.track_id, strength=0.2).recipe.request
    assert near.options_as(DiffusionOptions).loop is True
    assert near.duration_sec == pytest.approx(loop.duration_sec)
    longer = library.asked(task="extend", source=loop.track_id).recipe.request
    assert longer.options_as(DiffusionOptions).loop is None


@pytest.mark.parametrize("name", ["other name.wav", "0123456789abcdef.wav"])
def test_the_id_follows_the_contents_and_not_the_name(
    library: Library, track: Track, tmp_path: Path, name: str
) -> None:
    def id_of(path: Path) -> str:
        given = {"task": "from_audio", "backend": "copier", "prompt": "snow", "seed": 1}
        return library.asked(source=str(path), **given).recipe.track_id

    first, second = tmp_path / "first.wav", tmp_path / name
    shutil.copy(library.tracks.path(track), first)
    shutil.copy(first, second)
    assert id_of(first) == id_of(second)
    content = bytearray(second.read_bytes())
    content[1000] ^= 1
    second.write_bytes(content)
    assert id_of(first) != id_of(second)


def test_a_tracks_own_file_is_the_track(library: Library, track: Track) -> None:
    given = {"task": "extend", "backend": "demo", "seed": 1}
    by_path = library.asked(source=str(library.tracks.path(track)), **given)
    by_id = library.asked(source=track.track_id, **given)
    assert by_path.recipe == by_id.recipe


def test_source_span_and_strength_count_and_the_place_does_not() -> None:
    def id_of(**changes: Any) -> str:
        source = Source(changes.pop("path", Path("a")), changes.pop("sha256", "1" * 64), 6.0)
        task = replace(Task("repaint", source, (1.0, 2.0), 0.5), **changes)
        return track_id("demo", "1", GenerationRequest("rain", 6.0, 1, task=task))

    changes = [{}, {"sha256": "2" * 64}, {"span": (1.0, 2.5)}, {"strength": 0.6}]
    assert len({id_of(**each) for each in changes}) == len(changes)
    assert id_of(path=Path("b")) == id_of()


def test_the_sidecar_knows_the_family(library: Library, track: Track) -> None:
    longer = library.made(task="extend", source=track.track_id, span=[6, 9])
    path = library.tracks.path(longer).with_suffix(".json")
    written = json.loads(path.read_text())
    digest = library.asked(task="extend", source=track.track_id).recipe.request.task
    assert digest is not None
    assert {name: written[name] for name in ("parent", "task", "source", "span")} == {
        "parent": track.track_id,
        "task": "extend",
        "source": track.track_id,
        "span": [6.0, 9.0],
    }
    assert written["source_sha256"] == digest.source.sha256
    assert library.tracks.find(longer.track_id) == longer


def test_what_goes_on_from_a_variation_is_none_itself(library: Library, track: Track) -> None:
    varied = library.made(task="variation", source=track.track_id, strength=0.5)
    request = library.asked(task="extend", source=varied.track_id).recipe.request
    options = request.options_as(DiffusionOptions)
    assert (options.variation, options.variation_seed) == (None, None)
    again = library.asked(task="variation", source=varied.track_id, strength=0.2).recipe.request
    assert (again.seed, again.options_as(DiffusionOptions).variation) == (track.seed, 0.2)


def test_a_variation_of_an_extension_extends_the_same_source(
    library: Library, track: Track
) -> None:
    longer = library.made(task="extend", source=track.track_id, span=[6, 9])
    request = library.asked(task="variation", source=longer.track_id, strength=0.5).recipe.request
    assert request.parent == longer.track_id
    assert request.task is not None
    assert (request.task.name, request.task.span) == ("extend", (6.0, 9.0))
    assert request.task.source.track_id == track.track_id
    library.tracks.delete([track.track_id])
    with pytest.raises(TrackNotFound, match=track.track_id):
        library.asked(task="variation", source=longer.track_id, strength=0.5)


def test_a_source_that_changed_cannot_be_varied_on(library: Library, track: Track) -> None:
    longer = library.made(task="extend", source=track.track_id, span=[6, 9])
    given = {"prompt": "rain", "seed": 7, "duration_sec": 6, "backend": "demo"}
    library.written(library.asked(inference_steps=5, **given), pitch=330.0)
    with pytest.raises(InvalidParams, match="not what it was"):
        library.asked(task="variation", source=longer.track_id)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "repaint", "span": [2, 7]}, "from 0 to 6 s"),
        ({"task": "repaint", "span": [3, 3]}, "no length"),
        ({"task": "extend", "span": [1, 5]}, "one end lies outside"),
        ({"task": "extend", "span": [-1, 9]}, "one end lies outside"),
        ({"task": "extend", "span": [7, 9]}, "touch the source"),
        ({"task": "extend", "span": [-3, -1]}, "touch the source"),
        ({"task": "extend", "duration_sec": 9}, "the length follows"),
        ({"task": "extend", "strength": 0.5}, "takes no strength"),
        ({"task": "from_audio"}, "cannot do from_audio"),
        (
            {"task": "extend", "source": "/no.wav", "prompt": "x", "backend": "demo"},
            "read: .* gone",
        ),
        ({"task": "extend", "source": "no.wav", "prompt": "x"}, "'no.wav' is neither"),
        ({"task": "extend", "source": "/dev/zero", "prompt": "x"}, "read: it is not a file"),
        ({"task": "extend", "source": "0" * 16}, "There is no track"),
    ],
)
def test_what_does_not_fit_is_refused(
    library: Library, track: Track, given: dict[str, Any], said: str
) -> None:
    with pytest.raises((InvalidParams, AudioPlaybackError, TrackNotFound), match=said):
        library.asked(**{"source": track.track_id, **given})


def test_what_is_no_sound_or_too_much_of_it_is_told(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(path: Path) -> Resolved:
        return library.asked(task="from_audio", source=str(path), prompt="x", backend="copier")

    text = tmp_path / "notes.wav"
    text.write_text("no sound")
    with pytest.raises(AudioPlaybackError, match=r"notes\.wav cannot be read: .*ormat"):
        ask(text)
    hole = tmp_path / "hole.wav"
    samples = np.zeros((6 * RATE, 1), np.float32)
    samples[-1] = np.nan
    soundfile.write(hole, samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioPlaybackError, match="no numbers"):
        ask(hole)
    soundfile.write(hole, np.zeros((6 * RATE, 1)), RATE)
    assert ask(hole).recipe.request.duration_sec == 6.0
    monkeypatch.setattr("lofi_daemon.tracks.sources.LONGEST_SEC", 5.9)
    with pytest.raises(InvalidParams, match=r"hole\.wav is longer than 5\.9 s"):
        ask(hole)
    monkeypatch.setattr("lofi_daemon.sound.files.SoundFile.known_frames", None)
    with pytest.raises(InvalidParams, match="longer"):
        ask(hole)


def test_new_music_from_a_sound_is_the_chosen_models_own(library: Library, track: Track) -> None:
    """A track's words go on; its options are another model's, unless that one is named."""
    given = {"task": "from_audio", "source": track.track_id, "strength": 0.4}
    parameters, origin = with_source(library.tracks, parse(library.model, given))
    assert (parameters.prompt, parameters.backend) == ("rain", None)
    assert parameters.model_dump()["inference_steps"] is None
    named, _ = with_source(library.tracks, parse(library.model, {**given, "backend": "demo"}))
    assert named.model_dump()["inference_steps"] == 5
    assert origin.task is not None
    assert (origin.task.strength, origin.task.span, origin.parent) == (0.4, None, track.track_id)
    made = library.made(**given, backend="copier", seed=3)
    assert (made.task, made.strength, made.parent) == ("from_audio", 0.4, track.track_id)
    assert made.duration_sec == track.duration_sec


def test_a_flow_is_as_long_as_it_is_asked_for_and_knows_its_source(library: Library) -> None:
    library.registry.get("demo").offers = (*TASKS, TaskOffer("flow"))  # pyright: ignore[reportAttributeAccessIssue]
    track = library.made(prompt="rain", seed=7, duration_sec=6, backend="demo", inference_steps=5)
    given = {"task": "flow", "source": track.track_id, "seed": 1}
    usual = library.asked(**given).recipe.request
    assert (usual.duration_sec, usual.prompt) == (30.0, "rain")
    flow = library.made(**given, duration_sec=9, prompt="snow")
    assert (flow.duration_sec, flow.task, flow.source) == (9.0, "flow", track.track_id)
    assert flow.span == (6.0, 15.0)  # a tone never turns to its end
    longer = library.asked(
        task="extend", source=track.track_id, seed=1, prompt="snow", span=[6, 15]
    )
    assert longer.recipe.track_id != flow.track_id
    with pytest.raises(InvalidParams, match="span: only for the task repaint or extend"):
        library.asked(**given, span=[6, 9])


def test_a_flow_begins_where_its_source_turns_to_its_end(library: Library) -> None:
    library.registry.get("demo").offers = (TaskOffer("flow"),)  # pyright: ignore[reportAttributeAccessIssue]
    resolved = library.asked(prompt="rain", seed=7, duration_sec=20, backend="demo")
    wave = 0.3 * np.sin(2 * np.pi * 220 / RATE * np.arange(20 * RATE))
    wave[16 * RATE :] *= 0.01
    clip = AudioClip(np.tile(wave, (2, 1)).astype(np.float32), RATE)
    track = write_track(
        library.tracks,
        clip,
        resolved.recipe,
        track_format="wav16",
        elapsed_sec=lambda: 1.0,
        cancel=CancelToken(),
    )
    flow = library.asked(task="flow", source=track.track_id, seed=1).recipe.request.task
    assert flow is not None
    assert flow.span is not None
    assert flow.span[0] == pytest.approx(16.5, abs=0.6)


@pytest.mark.parametrize("name", ["demo", "ace_step", "ace_step_15"])
def test_who_goes_on_from_a_track_can_flow_on_from_it(name: str) -> None:
    info = Registry(Settings()).get(name).info
    longer = info.offer("extend")
    assert longer is not None
    assert info.offer("flow") == replace(longer, name="flow")


def test_every_backend_that_takes_the_option_can_make_variations() -> None:
    for backend in Registry(Settings()):
        info = backend.info
        takes = "variation" in info.options.model_fields
        assert (info.offer("variation") is not None) == takes, info.type


def test_who_cannot_extend_cannot_vary_an_extension(library: Library, track: Track) -> None:
    longer = library.made(task="extend", source=track.track_id, span=[6, 9])
    library.varies_only()
    assert library.asked(task="variation", source=track.track_id).recipe.request.task is None
    with pytest.raises(InvalidParams, match="cannot do extend"):
        library.asked(task="variation", source=longer.track_id)


def test_a_refusal_says_who_can(library: Library, track: Track, tmp_path: Path) -> None:
    with pytest.raises(InvalidParams) as failure:
        library.asked(task="from_audio", source=track.track_id)
    assert failure.value.hint == (
        "It can do variation, extend and repaint; The copier can do from_audio."
    )
    file = tmp_path / "mine.wav"
    shutil.copy(library.tracks.path(track), file)
    with pytest.raises(InvalidParams, match="its own tracks only") as failure:
        library.asked(task="extend", source=str(file), prompt="rain", backend="demo")
    assert "The copier can do extend with any sound" in failure.value.hint
    with pytest.raises(InvalidParams, match="'prompt' is missing"):
        library.asked(task="extend", source=str(file), backend="copier")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "prompt"),
        ({"task": "extend"}, "source"),
        ({"task": "repaint", "source": "a"}, "span"),
        ({"prompt": "rain", "source": "a"}, "source"),
        ({"prompt": "rain", "strength": 0.5}, "strength"),
        ({"task": "variation", "source": "a", "span": [1, 2]}, "span"),
        ({"task": "repaint", "source": "a", "span": [1]}, "span"),
        ({"task": "remix", "source": "a"}, "task"),
    ],
)
def test_a_request_says_all_that_its_task_needs(
    library: Library, given: dict[str, Any], missing: str
) -> None:
    with pytest.raises(InvalidParams, match=missing):
        parse(library.model, given)


def test_a_missing_prompt_is_named_as_ever(library: Library) -> None:
    with pytest.raises(InvalidParams) as failure:
        parse(library.model, {"seed": 1})
    assert failure.value.message == "parameter 'prompt' is missing"
    assert failure.value.data["parameters"] == ["prompt"]
