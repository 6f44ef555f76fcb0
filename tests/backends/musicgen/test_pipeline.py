"""From a request to sound, with a tiny random model."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from lofi_daemon.backends.musicgen.codec_windows import codec_windows
from lofi_daemon.backends.musicgen.continuation import stretches
from lofi_daemon.backends.musicgen.decoder import NativeDecoder, PublishedDecoder
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.backends.musicgen.pipeline import MusicGenPipeline
from lofi_daemon.backends.musicgen.sampling import Logits
from lofi_daemon.backends.musicgen.text import TextStates
from lofi_daemon.backends.musicgen.tokens import Sampling, generate_tokens
from lofi_daemon.backends.protocol import GenerationRequest, Phase, PhaseProgress
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import ModelInferenceFailed
from lofi_daemon.onnx.session import SessionSettings
from lofi_daemon.sound.stream import SoundFacts
from tests import tiny_musicgen

PROMPT = "lofi rain piano"
# So small a model gains nothing from more.
ONE_THREAD = SessionSettings(threads=1)


@pytest.fixture(scope="module")
def pipeline() -> MusicGenPipeline:
    return MusicGenPipeline(tiny_musicgen.native_folder(), ONE_THREAD)


def published() -> MusicGenPipeline:
    folder = tiny_musicgen.published_folder()
    return MusicGenPipeline(folder, ONE_THREAD)


class Recording:
    """A decoder that remembers what it was shown in every window."""

    def __init__(self, inner: NativeDecoder | PublishedDecoder) -> None:
        self.windows: list[list[Codes]] = []
        self._inner = inner

    def attend(self, text: TextStates, columns: int, cancel: CancelToken) -> None:
        self._inner.attend(text, columns, cancel)

    def restart(self) -> None:
        self.windows.append([])
        self._inner.restart()

    def logits(self, codes: Codes, cancel: CancelToken) -> Logits:
        self.windows[-1].append(codes.copy())
        return self._inner.logits(codes, cancel)

    def release(self) -> None:
        self._inner.release()


class Telling:
    """A listener that says how much each piece has."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def begin(self, facts: SoundFacts) -> None:
        pass

    def hear(self, piece: np.ndarray) -> None:
        self._told.append(f"heard {piece.shape[1]}")


@pytest.mark.parametrize("seconds", [5, 30, 31, 60, 120, 7.7701])
def test_a_track_is_exactly_as_long_as_asked(pipeline: MusicGenPipeline, seconds: float) -> None:
    clip = pipeline.generate(GenerationRequest(PROMPT, seconds, seed=1))
    assert clip.sample_rate == 32000
    assert clip.samples.shape == (1, round(seconds * 32000))
    assert np.isfinite(clip.samples).all()
    assert np.abs(clip.samples).max() == pytest.approx(0.89, abs=0.01)
    for second in np.array_split(clip.samples[0, :-3200], int(seconds)):
        assert np.abs(second).max() > 0.01, "no second is silent"


def test_the_second_window_is_shown_the_end_of_the_first(pipeline: MusicGenPipeline) -> None:
    decoder = Recording(pipeline.decoder)
    config = pipeline.config.decoder
    cancel = CancelToken()
    text = pipeline.text_encoder.encode(pipeline.text_encoder.tokenize(PROMPT), cancel)

    def codes_of(decoder: Any, frames: int) -> np.ndarray:
        windows = stretches(frames, 50)
        tokens = generate_tokens(decoder, config, text, windows, Sampling(4), cancel)
        return np.concatenate(list(tokens), axis=1)

    first = codes_of(pipeline.decoder, 1500)
    codes = codes_of(decoder, 1520)
    np.testing.assert_array_equal(codes[:, :1500], first)
    whole, second = decoder.windows
    assert len(whole) == 1503
    prompt = second[0]
    assert prompt.shape == (4, 601)
    for codebook in range(4):
        known = 600 - codebook
        np.testing.assert_array_equal(
            prompt[codebook, codebook + 1 :], first[codebook, 900 : 900 + known]
        )
        assert (prompt[codebook, : codebook + 1] == config.pad_token_id).all()
    assert [shown.shape[1] for shown in second[1:]] == [1] * 22
    assert len(np.unique(codes[:, 1500:])) > 8


def test_a_prompt_in_one_call_gives_what_step_by_step_gives(pipeline: MusicGenPipeline) -> None:
    cancel = CancelToken()
    text = np.random.default_rng(0).standard_normal((1, 5, 48), dtype=np.float32)
    codes = np.random.default_rng(1).integers(64, size=(4, 9))
    for decoder in (pipeline.decoder, published().decoder):
        decoder.attend(text, 9, cancel)
        at_once = decoder.logits(codes, cancel).copy()
        decoder.restart()
        for column in range(9):
            stepwise = decoder.logits(codes[:, [column]], cancel)
        np.testing.assert_allclose(at_once, stepwise, atol=1e-4)
        decoder.release()


def test_the_same_seed_gives_the_same_bytes(pipeline: MusicGenPipeline) -> None:
    def clip(seed: int, prompt: str = PROMPT) -> bytes:
        return pipeline.generate(GenerationRequest(prompt, 5.0, seed)).samples.tobytes()

    first = clip(7)
    assert clip(7) == first
    assert clip(8) != first
    assert clip(7, "slow warm vinyl") != first


def test_a_fresh_pipeline_gives_the_same_bytes(pipeline: MusicGenPipeline) -> None:
    request = GenerationRequest(PROMPT, 31, seed=7)
    another = MusicGenPipeline(tiny_musicgen.native_folder(), ONE_THREAD)
    assert np.array_equal(pipeline.generate(request).samples, another.generate(request).samples)


def test_published_files_run_as_they_are_and_sound_the_same(pipeline: MusicGenPipeline) -> None:
    request = GenerationRequest(PROMPT, 5, seed=3)
    expected = pipeline.generate(request).samples
    actual = published().generate(request).samples
    assert np.linalg.norm(actual - expected) / np.linalg.norm(expected) < 1e-3


def test_stereo_models_give_stereo() -> None:
    pipeline = MusicGenPipeline(tiny_musicgen.native_folder(channels=2), ONE_THREAD)
    clip = pipeline.generate(GenerationRequest(PROMPT, 5, seed=1))
    assert clip.samples.shape == (2, 5 * 32000)
    assert not np.allclose(clip.samples[0], clip.samples[1], atol=0.01)


def test_joined_windows_of_the_codec_have_no_seam(pipeline: MusicGenPipeline) -> None:
    frames = 1130
    codes = np.random.default_rng(0).integers(64, size=(4, frames))
    cancel = CancelToken()
    whole = pipeline.codec.samples(codes, cancel)
    shares: list[float] = []
    pieces = list(pipeline.codec.stream([codes], frames, shares.append, cancel))
    assert tuple(piece.shape[1] for piece in pieces) == pipeline.codec.piece_frames(frames)
    joined = np.concatenate(pieces, axis=1)
    assert joined.shape == whole.shape
    assert np.linalg.norm(joined - whole) / np.linalg.norm(whole) < 1e-4
    assert np.abs(joined - whole).max() < 1e-3 * np.abs(whole).max()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("frames", [50, 99, 100, 101, 151, 250])
def test_short_tracks_are_decoded_whole(pipeline: MusicGenPipeline, frames: int) -> None:
    codes = np.random.default_rng(0).integers(64, size=(4, frames))
    cancel = CancelToken()
    whole = pipeline.codec.samples(codes, cancel)
    pieces = list(pipeline.codec.stream([codes], frames, lambda share: None, cancel))
    assert tuple(piece.shape[1] for piece in pieces) == pipeline.codec.piece_frames(frames)
    assert np.linalg.norm(np.concatenate(pieces, axis=1) - whole) / np.linalg.norm(whole) < 1e-4


def test_it_is_heard_while_tokens_are_drawn(pipeline: MusicGenPipeline) -> None:
    told: list[str] = []
    pipeline.generate(
        GenerationRequest(PROMPT, 31, seed=1),
        on_progress=lambda progress: told.append(f"{progress.phase.value} {progress.done}"),
        listener=Telling(told),
    )
    first = told.index("heard 48000")
    assert told.index("decoding_tokens 100") < first < told.index("decoding_tokens 101")


def test_where_memory_is_short_all_tokens_come_before_the_codec() -> None:
    request = GenerationRequest(PROMPT, 7, seed=1)
    by_phase = MusicGenPipeline(tiny_musicgen.native_folder(), ONE_THREAD, keep_loaded=False)
    seen: list[PhaseProgress] = []
    clip = by_phase.generate(request, on_progress=seen.append)
    phases = [phase for phase, _ in itertools.groupby(progress.phase for progress in seen)]
    assert phases == [Phase.ENCODING, Phase.DECODING_TOKENS, Phase.DECODING]
    kept = MusicGenPipeline(tiny_musicgen.native_folder(), ONE_THREAD)
    assert np.array_equal(clip.samples, kept.generate(request).samples)


def test_progress_names_the_phases_and_never_falls(pipeline: MusicGenPipeline) -> None:
    seen: list[PhaseProgress] = []
    pipeline.generate(GenerationRequest(PROMPT, 31, seed=1), on_progress=seen.append)
    phases = [phase for phase, _ in itertools.groupby(progress.phase for progress in seen)]
    turns = len(codec_windows(1550))
    assert phases == [Phase.ENCODING, *[Phase.DECODING_TOKENS, Phase.DECODING] * turns]
    tokens = [progress for progress in seen if progress.phase is Phase.DECODING_TOKENS]
    assert {progress.total for progress in tokens} == {1550}
    assert tokens[-1].done == 1550
    fractions = [progress.fraction for progress in tokens]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_cancelling_between_tokens_stops_at_once(pipeline: MusicGenPipeline) -> None:
    cancel = CancelToken()
    tokens = 0

    def watch(progress: PhaseProgress) -> None:
        nonlocal tokens
        if progress.phase is Phase.DECODING_TOKENS:
            tokens = progress.done
            if tokens >= 20:
                cancel.cancel()

    with pytest.raises(Cancelled):
        pipeline.generate(GenerationRequest(PROMPT, 120, seed=1), on_progress=watch, cancel=cancel)
    assert tokens == 20


def test_cancelling_from_another_thread_takes_effect(pipeline: MusicGenPipeline) -> None:
    cancel = CancelToken()
    started = threading.Event()

    def cancel_soon() -> None:
        started.wait()
        time.sleep(0.05)
        cancel.cancel()

    thread = threading.Thread(target=cancel_soon)
    thread.start()
    with pytest.raises(Cancelled):
        pipeline.generate(
            GenerationRequest(PROMPT, 120, seed=1),
            on_progress=lambda progress: started.set(),
            cancel=cancel,
        )
    thread.join()


def test_after_a_cancelled_request_the_next_one_is_untouched(pipeline: MusicGenPipeline) -> None:
    request = GenerationRequest(PROMPT, 5, seed=9)
    expected = pipeline.generate(request).samples
    cancel = CancelToken()

    def watch(progress: PhaseProgress) -> None:
        if progress.phase is Phase.DECODING_TOKENS and progress.done == 100:
            cancel.cancel()

    with pytest.raises(Cancelled):
        pipeline.generate(request, on_progress=watch, cancel=cancel)
    assert np.array_equal(pipeline.generate(request).samples, expected)


def test_logits_that_are_not_finite_are_an_error_that_names_the_frame(
    pipeline: MusicGenPipeline,
) -> None:
    text = np.full((1, 4, 48), np.nan, dtype=np.float32)
    with pytest.raises(ModelInferenceFailed, match="token frame 0"):
        list(pipeline.tokens(GenerationRequest(PROMPT, 5, 1), text, lambda _: None, CancelToken()))
