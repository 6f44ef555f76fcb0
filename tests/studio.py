"""Music from music in a folder of tracks: how it is made there, and what is heard of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.jobs.requests import Resolved, resolve
from lofi_daemon.jobs.tasks import with_source
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.sound.material import read_material
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.writing import write_track

RATE = 48000


class Studio:
    """One model of a registry, loaded, and a folder of tracks."""

    def __init__(self, folder: Path, registry: Registry, backend: str) -> None:
        self.tracks = TrackCache(folder, 10**9)
        self.tracks.prepare()
        self.registry = registry
        self.model = self.registry.taking_options(GenerationParameters)
        self.registry.get(backend).load(CancelToken(), lambda progress: None)

    def asked(self, **given: Any) -> Resolved:
        parameters, origin = parse(self.model, given), None
        if parameters.task is not None:
            parameters, origin = with_source(self.tracks, parameters)
        return resolve(self.registry, parameters, origin)

    def made(self, **given: Any) -> Track:
        resolved = self.asked(**given)
        clip = resolved.backend.generate(
            resolved.recipe.request, on_progress=lambda progress: None, cancel=CancelToken()
        )
        return write_track(
            self.tracks,
            clip,
            resolved.recipe,
            track_format="wav16",
            elapsed_sec=lambda: 0.0,
            cancel=CancelToken(),
        )

    def sound(self, track: Track) -> NDArray[np.float64]:
        return soundfile.read(self.tracks.path(track))[0].T

    def latents(self, track: Track) -> NDArray[Any]:
        path = self.tracks.material(track)
        assert path is not None
        return read_material(path)["latents"].astype(np.float32)


def likeness_db(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How far the difference lies below the sound."""
    return 10 * np.log10(np.mean(one**2) / max(np.mean((one - other) ** 2), 1e-20))


def roughness(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """The energy of the second difference in each hundredth of a second."""
    energy = np.square(np.diff(sound, 2, axis=1)).sum(axis=0)
    length = RATE // 100
    return energy[: len(energy) // length * length].reshape(-1, length).sum(axis=1)


def assert_no_seam(sound: NDArray[np.float64], at: int, ramp: int) -> None:
    """Around a join nothing is rougher than elsewhere; ramp: how long before it new music comes."""
    first, last = at - ramp - RATE // 100, at + RATE // 100
    near, rest = sound[:, first:last], (sound[:, :first], sound[:, last:])
    assert roughness(near).max() <= max(roughness(each).max() for each in rest)
    steps = [np.abs(np.diff(each, axis=1)).max() for each in rest]
    assert np.abs(np.diff(near, axis=1)).max() <= max(steps)
