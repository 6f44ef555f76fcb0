"""From a clip to a track in the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache as cache_result
from pathlib import Path
from typing import Any

from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import TrackFormat
from lofi_daemon.files.temporary import TemporaryFile
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.sound.loudness import integrated_loudness, true_peak, waveform_peaks
from lofi_daemon.sound.material import material_bytes
from lofi_daemon.tracks.cache import TrackCache
from lofi_daemon.tracks.encoding import ENCODINGS, bytes_needed, encode
from lofi_daemon.tracks.identity import Recipe
from lofi_daemon.tracks.refuge import in_a_place_that_works
from lofi_daemon.tracks.sidecar import MAX_LUFS, MAX_PEAK, Track, sidecar_text


def write_track(
    cache: TrackCache,
    clip: AudioClip,
    recipe: Recipe,
    *,
    track_format: TrackFormat,
    elapsed_sec: Callable[[], float],
    cancel: CancelToken,
    before_commit: Callable[[], None] = lambda: None,
) -> Track:
    """Write, measure and commit a track.

    `elapsed_sec()` gives the seconds the job has taken so far. `before_commit` is called when all
    is written and nothing is visible yet; what it raises undoes everything. Where the cache's
    folder does not take the track, it is kept in a place that does. Raises CacheWriteFailed where
    there is none, ModelInferenceFailed (samples that are not numbers), Cancelled.
    """
    commit, measured = _once(before_commit), cache_result(lambda: measurements(clip))

    def write_into(folder: Path) -> Track:
        with ExitStack() as files:
            audio = files.enter_context(cache.temporary(recipe.track_id, folder))
            track = encode_track(
                clip, audio, recipe, track_format, measured, moment=cache.moment(), cancel=cancel
            )
            cancel.raise_if_cancelled()
            track = track.model_copy(update={"generation_time_sec": round(elapsed_sec(), 3)})
            material: TemporaryFile | None = None
            if clip.material is not None:
                material = files.enter_context(cache.temporary(recipe.track_id, folder))
                content = material_bytes(clip.material)
                material.write(content)
                material.sync()
                track = track.model_copy(update={"material_bytes": len(content)})
            sidecar = files.enter_context(cache.temporary(recipe.track_id, folder))
            sidecar.write(sidecar_text(track))
            sidecar.sync()
            commit()
            cache.commit(audio, sidecar, track, material)
            return track

    return in_a_place_that_works(cache, write_into, bytes_needed(clip, track_format))


def encode_track(
    clip: AudioClip,
    audio: TemporaryFile,
    recipe: Recipe,
    track_format: TrackFormat,
    measured: Callable[[], Mapping[str, Any]],
    *,
    moment: str,
    cancel: CancelToken,
) -> Track:
    """Write the sound into an open file, on the disk when this returns, and say what it is.

    Raises OSError, ModelInferenceFailed (samples that are not numbers), Cancelled.
    """
    track_id, request = recipe.track_id, recipe.request
    maker = f"{recipe.backend} {recipe.model_version or ''}".strip()
    encode(
        clip,
        audio.descriptor,
        track_format,
        title=request.prompt,
        comment=f"seed {request.seed}, {maker}",
        cancel=cancel,
    )
    audio.sync()
    return Track(
        track_id=track_id,
        file=track_id + ENCODINGS[track_format].suffix,
        backend=recipe.backend,
        model_version=recipe.model_version,
        prompt=request.prompt,
        duration_sec=clip.duration_sec,
        seed=request.seed,
        sample_rate=clip.sample_rate,
        channels=clip.samples.shape[0],
        bytes=os.fstat(audio.descriptor).st_size,
        created_at=moment,
        generation_time_sec=0.0,
        **measured(),
        **request.options.given,
        **_origin(request, track_id),
    )


def _origin(request: GenerationRequest, track_id: str) -> dict[str, Any]:
    """What a sidecar says of the music that a track began with."""
    task = request.task
    # A variation that goes nowhere is its parent again.
    parent = None if request.parent == track_id else request.parent
    if task is None:
        return {"parent": parent}
    return {
        "parent": parent,
        "task": task.name,
        "source": task.source.track_id or str(task.source.path),
        "source_sha256": task.source.sha256,
        "span": task.span,
        "strength": task.strength,
    }


def measurements(clip: AudioClip) -> dict[str, Any]:
    """What a sidecar says of the sound; the file's samples were clipped, and so are these."""
    loudness = integrated_loudness(clip)
    return {
        "loudness_lufs": None if loudness is None else min(loudness, MAX_LUFS),
        "true_peak": min(true_peak(clip), MAX_PEAK),
        "waveform": waveform_peaks(clip),
    }


def _once(action: Callable[[], None]) -> Callable[[], None]:
    """The action, done only the first time: a second place to write to is no second commit."""
    done = False

    def act() -> None:
        nonlocal done
        if not done:
            action()
            done = True

    return act
