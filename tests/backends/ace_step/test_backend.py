"""ACE-Step's first version as a backend that sings."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lofi_daemon.backends.ace_step.backend import AceStepBackend, ace_step_backend
from lofi_daemon.backends.ace_step.lyrics import LYRIC_TOKENIZER, lyric_ids, marked_lines
from lofi_daemon.backends.ace_step.options import AceStepOptions
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.protocol import GenerationRequest, parse_options
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import load_settings
from lofi_daemon.errors import InvalidParams
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.tracks.identity import track_id
from tests.tiny_bundle import tiny_bundle

LYRICS = "[Verse]\nRain on the pane\n\n[Chorus]\nStay a while"
SONG = AceStepOptions(inference_steps=2, lyrics=LYRICS)
REQUEST = GenerationRequest("piano", 5.0, 3, SONG)
INSTRUMENTAL = replace(REQUEST, options=AceStepOptions(inference_steps=2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle(), tmp_path / "bundle"))


@pytest.fixture
def backend(folder: Path) -> AceStepBackend:
    return ace_step_backend(
        load_settings({"LOFI_ACE_STEP_MODEL_PATH": str(folder), "LOFI_THREADS": "1"})
    )


def made(backend: AceStepBackend, request: GenerationRequest) -> np.ndarray:
    cancel = CancelToken()
    backend.load(cancel, lambda progress: None)
    resolved = backend.resolve(request)
    return backend.generate(resolved, on_progress=lambda progress: None, cancel=cancel).samples


def test_it_sings_what_it_is_given(backend: AceStepBackend, folder: Path) -> None:
    """The lyric's ids reach the context encoder as the pipeline of the same files takes them."""
    lyric = lyric_ids(marked_lines(LYRICS), folder / LYRIC_TOKENIZER)
    pipeline = AceStepPipeline(folder, SessionSettings(threads=1), sing=lambda request: lyric)
    expected = pipeline.generate(backend.resolve(REQUEST)).samples
    sung = made(backend, REQUEST)
    np.testing.assert_array_equal(sung, expected)
    other = replace(REQUEST, options=SONG.model_copy(update={"lyrics": "[Verse]\nSun"}))
    assert np.abs(made(backend, other) - sung).max() > 1e-4


def test_instrumental_music_is_what_it_was(backend: AceStepBackend, folder: Path) -> None:
    plain = AceStepPipeline(folder, SessionSettings(threads=1))
    expected = plain.generate(backend.resolve(INSTRUMENTAL)).samples
    np.testing.assert_array_equal(made(backend, INSTRUMENTAL), expected)


def test_lyrics_are_in_a_tracks_id_only_where_there_are_some(backend: AceStepBackend) -> None:
    def identity(request: GenerationRequest) -> str:
        return track_id("ace_step", "1", backend.resolve(request))

    before = replace(INSTRUMENTAL, options=DiffusionOptions(inference_steps=2))
    assert backend.resolve(INSTRUMENTAL).options.given.keys().isdisjoint({"lyrics", "language"})
    assert identity(before) == identity(INSTRUMENTAL)
    named = replace(REQUEST, options=SONG.model_copy(update={"language": "de"}))
    assert len({identity(INSTRUMENTAL), identity(REQUEST), identity(named)}) == 3


def test_without_the_vocabulary_lyrics_are_refused_with_a_way_out(
    backend: AceStepBackend, folder: Path
) -> None:
    (folder / LYRIC_TOKENIZER).unlink()
    backend.resolve(INSTRUMENTAL)
    with pytest.raises(InvalidParams, match=r"lyric_tokenizer\.json") as refused:
        backend.resolve(REQUEST)
    assert "acestep/models/lyrics_utils/vocab.json" in refused.value.hint
    # another machine's files are looked at there
    backend.resolve(REQUEST, backend.terms())


def test_what_cannot_be_sung_is_refused_before_anything_is_made(backend: AceStepBackend) -> None:
    for options, said in (
        ({"lyrics": "24 hours"}, "line 1 has 24 in digits"),
        ({"language": "de"}, "there are no lyrics to sing"),
    ):
        with pytest.raises(InvalidParams, match=said):
            backend.resolve(replace(REQUEST, options=AceStepOptions(**options)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lyrics": " \n "}, "only blanks"),
        ({"lyrics": "a\x07b"}, "printable"),
        ({"lyrics": "a" * 4096}, "4095"),
        ({"lyrics": "a", "language": "sv"}, "the known languages are ar, cs"),
    ],
)
def test_its_options_are_checked(options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidParams, match=said):
        parse_options(AceStepOptions, options, "ACE-Step")
