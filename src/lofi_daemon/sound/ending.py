"""Where a track turns to its end, as far as that can be heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lofi_daemon.sound.files import SoundFile
from lofi_daemon.sound.loudness import HOPS_PER_SEGMENT, hop_energies, hop_frames

HOP_SEC = 0.1
HOPS_AT_ONCE = 5
FADED = 0.25


def full_until(path: Path) -> float:
    """Up to which second a sound goes on as it did: behind it there is a fade, an echo or nothing.

    That is the end of the last half second whose energy (K-weighted, ITU-R BS.1770) is at least a
    quarter of the median half second's; in no case before half of the sound. Reads all of it.
    Raises AudioPlaybackError.
    """
    with SoundFile(path) as sound:
        rate: int = sound.samplerate
        blocks = sound.blocks_to_the_end(hop_frames(rate) * HOPS_PER_SEGMENT)
        pieces = (np.ascontiguousarray(block.T) for block in blocks)
        found = list(hop_energies(pieces, rate))
    energies = np.concatenate(found) if found else np.zeros(0)
    if len(energies) < HOPS_AT_ONCE:
        return len(energies) * HOP_SEC
    each = np.convolve(energies, np.ones(HOPS_AT_ONCE), "valid")
    full = np.flatnonzero(each >= FADED * np.median(each))
    hops = max(int(full[-1]) + HOPS_AT_ONCE, len(energies) // 2)
    return hops * HOP_SEC
