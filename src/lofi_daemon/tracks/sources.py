"""The music that a task begins with: a track of the library, or any sound file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.backends.tasks import Source
from lofi_daemon.errors import AudioPlaybackError, InvalidParams, TrackNotFound
from lofi_daemon.text import shown
from lofi_daemon.tracks.cache import TrackCache
from lofi_daemon.tracks.identity import is_track_id
from lofi_daemon.tracks.sidecar import Track

BLOCK_FRAMES = 1 << 16
LONGEST_SEC = 600.0
"""As long as the longest track that is made; a film named by mistake is not read to its end."""


@dataclass(frozen=True)
class Found:
    """A source, and the track that it is; None for a file from elsewhere."""

    source: Source
    track: Track | None


def find_source(cache: TrackCache, name: str) -> Found:
    """The track of that id, or the sound file of that absolute path. Reads all of it.

    Raises TrackNotFound, InvalidParams for another name and for a sound that is too long,
    AudioPlaybackError.
    """
    track = _track(cache, name)
    path = Path(name).expanduser() if track is None else cache.path(track)
    if not path.is_absolute():
        raise InvalidParams(
            f"source: '{shown(name[:64])}' is neither a track's id nor a file's whole path.",
            hint="Give the path from the root on: where a daemon runs is not where you are.",
            parameters=["source"],
        )
    material = None if track is None else cache.material(track)
    seconds, digest = _heard(path, material)
    if track is None:
        return Found(Source(path, digest, seconds), None)
    source = Source(
        path,
        digest,
        seconds,
        track_id=track.track_id,
        backend=track.backend,
        model_version=track.model_version,
        material=material,
    )
    return Found(source, track)


def _track(cache: TrackCache, name: str) -> Track | None:
    if is_track_id(name):
        track = cache.find(name)
        if track is None:
            raise TrackNotFound(f"There is no track '{name}'.", track_id=name)
        return track
    path = Path(name).expanduser()
    track = cache.find(path.stem)
    same = track is not None and cache.path(track) == path.absolute()
    return track if same else None


def _heard(path: Path, material: Path | None) -> tuple[float, str]:
    """Length in seconds, and the hash of samples and material: no name, no tag, no container.

    Raises AudioPlaybackError, InvalidParams.
    """
    import hashlib

    import numpy as np

    from lofi_daemon.sound.files import SoundFile
    from lofi_daemon.sound.material import read_material

    digest, frames = hashlib.sha256(), 0
    with SoundFile(path, "read") as sound:
        rate = sound.samplerate
        longest = LONGEST_SEC * rate
        digest.update(f"{rate} {sound.channels}".encode())
        _raise_if_longer(path, sound.known_frames or 0, longest)
        for block in sound.blocks_to_the_end(BLOCK_FRAMES):
            frames += len(block)
            _raise_if_longer(path, frames, longest)
            if not np.isfinite(block).all():
                raise AudioPlaybackError(
                    f"{shown(str(path))} cannot be read: it holds samples that are no numbers."
                )
            digest.update(block.astype("<f4").tobytes())
    if material is not None:
        for name, array in sorted(read_material(material).items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return frames / rate, digest.hexdigest()


def _raise_if_longer(path: Path, frames: int, longest: float) -> None:
    if frames > longest:
        raise InvalidParams(
            f"source: {shown(str(path))} is longer than {LONGEST_SEC:g} s.",
            hint="Cut out the part that you mean.",
            parameters=["source"],
        )
