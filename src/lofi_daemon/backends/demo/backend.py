"""The bundled model behind the protocol: the ACE-Step pipeline, its own planner and files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lofi_daemon.backends.demo.files import DemoFiles
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import TASKS, BundleBackend, Seams
from lofi_daemon.backends.protocol import BackendInfo, GenerationRequest, Understood
from lofi_daemon.errors import InvalidParams

if TYPE_CHECKING:
    from lofi_daemon.backends.demo.score import Score
    from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds
    from lofi_daemon.backends.tasks import Task
    from lofi_daemon.config import Settings
    from lofi_daemon.sound.material import Material


def demo_backend(settings: Settings) -> BundleBackend:
    """The small model that comes with the package: always there, needs no download."""
    files = DemoFiles.configured(settings)
    return BundleBackend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=48000,
            min_duration_sec=5.0,
            max_duration_sec=240.0,
            options=DiffusionOptions,
            tasks=TASKS,
            full_model=False,
            understand=_understood,
            files=files,
        ),
        files,
        compose=compose_score,
        seams=_seams,
        loop_frames=_loop_frames,
    )


def _understood(prompt: str) -> Understood:
    from lofi_daemon.backends.demo.answer import understood

    return understood(prompt)


def compose_score(request: GenerationRequest) -> LyricIds:
    """The planner's score as lyric tokens, and the sounds that were asked for in plain words.

    A track that goes on from another has that one's score, as the task changes it. Raises
    InvalidParams, AudioPlaybackError where there is none.
    """
    from lofi_daemon.backends.demo.plan import compose

    if request.task is not None:
        return _rescored(request, request.task)
    score = compose(request.prompt, request.seed, request.duration_sec)
    return _written(_looped(score, request), request)


def compose_noted_score(request: GenerationRequest) -> LyricIds:
    """The same with every note written, for a bundle that plays from notes."""
    from lofi_daemon.backends.demo.notes import with_notes
    from lofi_daemon.backends.demo.plan import compose

    if request.task is not None:
        return _rescored(request, request.task)
    score = compose(request.prompt, request.seed, request.duration_sec)
    return _written(_looped(with_notes(score, request.seed), request), request)


def _loop_frames(request: GenerationRequest, allowed: range) -> int:
    """Latent frames of the loop of whole bars that is nearest to what is asked."""
    from lofi_daemon.backends.demo.plan import compose
    from lofi_daemon.backends.demo.rescore import loop_bars
    from lofi_daemon.backends.demo.score import LATENT_RATE

    bar_frames = compose(request.prompt, request.seed, request.duration_sec).bar_frames
    bars = loop_bars(request.duration_sec * LATENT_RATE / bar_frames)
    while bars * bar_frames < allowed[0]:
        bars += 1
    while bars * bar_frames > allowed[-1]:
        bars -= 1
    return bars * bar_frames


def _looped(score: Score, request: GenerationRequest) -> Score:
    """The score of a loop, and those of its bars that are diffused once more; else as it is."""
    if not request.options_as(DiffusionOptions).loop:
        return score
    from lofi_daemon.backends.demo.rescore import looped
    from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for
    from lofi_daemon.backends.kit.mel_diffusion.loop import OVERLAP_FRAMES

    bars = frames_for(request.duration_sec) // score.bar_frames
    return looped(score, bars, -(-OVERLAP_FRAMES // score.bar_frames))


COMPOSERS = {"lofi": compose_score, "lofi-notes": compose_noted_score}
"""By the name of the score that a bundle's manifest asks for."""


def _seams(material: Material) -> Seams:
    from lofi_daemon.backends.demo.rescore import turn_sec

    score = _score_in(material)
    return Seams(turn_sec(score), score.bar_frames)


def _rescored(request: GenerationRequest, task: Task) -> LyricIds:
    from lofi_daemon.backends.demo.rescore import leading_bars, rescored
    from lofi_daemon.backends.kit.editing import material_of

    score = rescored(_score_in(material_of(task)), task, request.prompt, request.seed)
    return _written(score, request, leads_in=leading_bars(score, task))


def _score_in(material: Material) -> Score:
    """The score that a track was made of. Raises InvalidParams where it is none."""
    from lofi_daemon.backends.demo.score import decode
    from lofi_daemon.backends.kit.mel_diffusion.editing import SCORE

    try:
        return decode([int(token) for token in material[SCORE].reshape(-1)])
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidParams(
            "The source was not made of a score that this version can read.",
            hint="Delete it, and make it again with the same words and seed.",
            parameters=["source"],
        ) from error


def _written(score: Score, request: GenerationRequest, leads_in: int = 0) -> LyricIds:
    """leads_in: how many bars of it are not in the track, and not kept."""
    import numpy as np

    from lofi_daemon.backends.demo.prompt import understand
    from lofi_daemon.backends.demo.score import encode
    from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds

    ids, own = (
        np.array([encode(each)], dtype=np.int64)
        for each in (score, replace(score, bars=score.bars[leads_in:]))
    )
    return LyricIds(ids, np.ones_like(ids), understand(request.prompt).canonical, score=own)
