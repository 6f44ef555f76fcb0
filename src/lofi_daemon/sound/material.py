"""What a model made a track of, kept beside its sound: latents, tokens, a score.

Whoever goes on from a track (a longer one, a part anew) begins with these instead of its sound.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.errors import AudioPlaybackError

Material = Mapping[str, NDArray[Any]]
"""Arrays by their names; floating point ones in float16, which is far below what can be heard."""

MAX_BYTES = 1 << 26


def material_bytes(material: Material) -> bytes:
    """What is written beside the track."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: each for name, each in material.items()})
    return buffer.getvalue()


def read_material(path: Path) -> dict[str, NDArray[Any]]:
    """Raises AudioPlaybackError where the file is gone or is not what was written."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise AudioPlaybackError(
            f"{path}, which a track was made of, cannot be read: {error}.",
            hint="Delete that track, and make it again.",
        ) from error
