"""Tracks of known sound, put into a daemon's cache folder as if it had made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import soundfile

from lofi_daemon.tracks.sidecar import Track, now, sidecar_text
from tests.player.signals import Signal


def put_track(
    folder: Path,
    track_id: str,
    signal: Signal,
    *,
    prompt: str = "known",
    sample_rate: int = 44100,
    **options: Any,
) -> Path:
    """A track that is played as it is: its loudness is unknown, so no gain is applied.

    options: what it was made with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{track_id}.wav"
    soundfile.write(path, signal, sample_rate, subtype="FLOAT")
    track = Track(
        track_id=track_id,
        file=path.name,
        backend="demo",
        model_version="1",
        prompt=prompt,
        duration_sec=len(signal) / sample_rate,
        seed=0,
        sample_rate=sample_rate,
        channels=2,
        bytes=path.stat().st_size,
        created_at=now(),
        generation_time_sec=1.0,
        loudness_lufs=None,
        waveform=[0.5] * 64,
        **options,
    )
    (folder / f"{track_id}.json").write_bytes(sidecar_text(track))
    return path
