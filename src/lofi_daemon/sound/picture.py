"""A track as a picture: its waveform above its spectrogram, as PNG and in the terminal."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.sound.clip import AudioClip

if TYPE_CHECKING:
    from rich.text import Text

WINDOW = 4096
LOWEST_HZ, HIGHEST_HZ = 40.0, 16000.0
DYNAMIC_RANGE_DB = 80.0

# Dark violet over orange to pale yellow, rising evenly in brightness: reads without colour too.
_ANCHORS = np.array(
    [[6, 4, 20], [52, 18, 92], [122, 32, 112], [190, 62, 84], [238, 120, 48], [250, 200, 90]],
    dtype=np.float64,
)
_WAVE_COLOUR = np.array([120, 200, 190], dtype=np.uint8)


def read_clip(path: Path) -> AudioClip:
    """A track's sound from its file."""
    import soundfile

    samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return AudioClip(samples.T, sample_rate)


def peaks(clip: AudioClip, columns: int) -> NDArray[np.float32]:
    """The largest absolute sample of each of `columns` equal stretches, float32 [columns]."""
    loudest = np.abs(clip.samples).max(axis=0)
    edges = np.linspace(0, loudest.size, columns + 1).astype(int)
    return np.array(
        [loudest[a : max(b, a + 1)].max() for a, b in itertools.pairwise(edges)],
        dtype=np.float32,
    )


def spectrogram(clip: AudioClip, columns: int, rows: int) -> NDArray[np.float32]:
    """Levels from 0 to 1, float32 [rows, columns]: row 0 is 16 kHz, the last 40 Hz, log-spaced.

    1 is the loudest point of the track, 0 is 80 dB below it.
    """
    mono = clip.samples.mean(axis=0)
    if mono.size < WINDOW:
        mono = np.pad(mono, (0, WINDOW - mono.size))
    starts = np.linspace(0, mono.size - WINDOW, columns).astype(int)
    window = np.hanning(WINDOW).astype(np.float32)
    power = np.stack([np.abs(np.fft.rfft(mono[s : s + WINDOW] * window)) ** 2 for s in starts])
    bin_hz = clip.sample_rate / WINDOW
    edges = np.geomspace(HIGHEST_HZ, LOWEST_HZ, rows + 1) / bin_hz
    bands = [
        power[:, int(low) : max(int(high), int(low) + 1)].mean(axis=1)
        for high, low in itertools.pairwise(edges)
    ]
    level = 10.0 * np.log10(np.maximum(np.stack(bands), 1e-20))
    return np.clip(1.0 + (level - level.max()) / DYNAMIC_RANGE_DB, 0.0, 1.0).astype(np.float32)


def png(clip: AudioClip, *, width: int = 1200, height: int = 480) -> bytes:
    """Waveform (upper third) and spectrogram as a PNG of width × height pixels."""
    wave_height = height // 3
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    canvas[:] = _ANCHORS[0]
    middle = wave_height // 2
    reach = (peaks(clip, width) * (middle - 4)).round().astype(int)
    for column, extent in enumerate(reach):
        canvas[middle - extent : middle + extent + 1, column] = _WAVE_COLOUR
    canvas[wave_height:] = _coloured(spectrogram(clip, width, height - wave_height))
    return _png_file(canvas)


def _png_file(pixels: NDArray[np.uint8]) -> bytes:
    """[height, width, 3] as a PNG of eight bits a colour, rows unfiltered (W3C, PNG 3rd edition).

    So little of the format needs no library of twenty megabytes.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # a row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def terminal_picture(
    clip: AudioClip, *, columns: int, rows: int = 12, coloured: bool = True
) -> Text:
    """Waveform in block characters; with colours also the spectrogram, two of its rows a line."""
    from rich.text import Text

    blocks = " ▁▂▃▄▅▆▇█"
    loudest = peaks(clip, columns)
    scaled = loudest / max(float(loudest.max(initial=0.0)), 1e-9)
    text = Text("".join(blocks[round(float(value) * 8)] for value in scaled) + "\n", style="cyan")
    if not coloured:
        return text
    image = _coloured(spectrogram(clip, columns, 2 * rows))
    for upper, lower in zip(image[0::2], image[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", style=f"{_hex(above)} on {_hex(below)}")
        text.append("\n")
    return text


def _coloured(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    position = levels * (len(_ANCHORS) - 1)
    below = np.minimum(position.astype(int), len(_ANCHORS) - 2)
    share = (position - below)[..., None]
    return (_ANCHORS[below] * (1.0 - share) + _ANCHORS[below + 1] * share).astype(np.uint8)


def _hex(colour: NDArray[np.uint8]) -> str:
    red, green, blue = (int(value) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"
