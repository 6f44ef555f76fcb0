"""Renders the training music into shards of log spectra, each song from its own seed.

A shard holds `SONGS_PER_SHARD` songs. Shards are written once, so that a rendering can be stopped
and resumed and training can start on the first ones while the others are being made.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from lofi_daemon.backends.demo.notes import with_notes
from lofi_daemon.backends.demo.plan import compose
from lofi_daemon.backends.demo.score import ATTRIBUTES, Score, encode, latent_frames

from .spectrum import HOP, log_spectrum
from .studio import SAMPLE_RATE, add_textures, perform

SONGS_PER_SHARD = 12
HELD_OUT_SEED = 10_000_000
MOODS = ("", "slow", "fast", "sad", "happy", "jazzy", "dreamy", "slow sad", "jazzy fast", "melody")
# Some songs leave players out, as prompts do.
REFUSALS = (
    "no drums", "no bass", "no music", "just chords", "just drums and bass",
    "just chords and a pad",
)  # fmt: skip
REFUSED_SHARE = 0.2
FRAME_SAMPLES = 4096


@dataclass(frozen=True)
class Song:
    """One song's score and how strong its textures are."""

    score: Score
    strengths: dict[str, float]
    seconds: float
    seed: int


def write_song(seed: int, seconds: float | None = None) -> Song:
    """The song of a seed, its attributes drawn evenly so that rare sounds are learnt as well."""
    rng = np.random.default_rng(seed)
    if seconds is None:
        seconds = float(rng.uniform(22, 90))
    mood = str(rng.choice(MOODS))
    if rng.random() < REFUSED_SHARE:
        mood = f"{mood}, {rng.choice(REFUSALS)}"
    score = compose(mood, seed, seconds)
    values = {name: str(rng.choice(options)) for name, options in ATTRIBUTES.items()}
    if rng.random() < 0.5:
        values["rain"] = "no rain"
    score = with_notes(Score(score.bar_frames, values, score.bars), seed)
    strengths = {name: float(rng.uniform(0.6, 1.4)) for name in ("rain", "vinyl")}
    return Song(score, strengths, seconds, seed)


def song_spectrum(song: Song) -> tuple[np.ndarray, np.ndarray]:
    """Log spectrum float16 [T, 2, 128, 8] of the dry performance, and its audio."""
    audio = perform(song.score, song.seconds, song.seed)
    frames = latent_frames(song.seconds)
    padded = np.zeros((2, frames * FRAME_SAMPLES + HOP), np.float32)
    padded[:, : audio.shape[1]] = audio[:, : padded.shape[1]]
    bands = log_spectrum(torch.from_numpy(padded))[..., : 8 * frames]
    blocks = bands.reshape(2, 128, frames, 8).permute(2, 0, 1, 3)
    return blocks.contiguous().numpy().astype(np.float16), audio


def render_shard(folder: Path, number: int, keep_audio: bool, held_out: bool = False) -> None:
    """Render one shard unless it is there already."""
    path = folder / f"{'held-out' if held_out else 'train'}-{number:04d}.npz"
    if path.exists():
        return
    base = (HELD_OUT_SEED if held_out else 0) + number * SONGS_PER_SHARD
    arrays: dict[str, np.ndarray] = {}
    for offset in range(SONGS_PER_SHARD):
        song = write_song(base + offset)
        bands, audio = song_spectrum(song)
        arrays[f"bands{offset}"] = bands
        arrays[f"tokens{offset}"] = np.array(encode(song.score), np.int16)
        arrays[f"textures{offset}"] = np.array(
            [
                song.strengths[name] * (song.score.attributes[name] == name)
                for name in ("rain", "vinyl")
            ],
            np.float32,
        )
        if keep_audio:
            name = f"{path.stem}-{offset:02d}"
            soundfile.write(folder / f"{name}-dry.flac", audio.T, SAMPLE_RATE)
            wet = add_textures(audio, song.score, song.strengths, song.seed)
            soundfile.write(folder / f"{name}.flac", wet.T, SAMPLE_RATE)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=56)
    parser.add_argument("--held-out-shards", type=int, default=3)
    parser.add_argument("--audio-shards", type=int, default=3, help="shards whose audio is kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.shards):
        render_shard(arguments.folder, number, keep_audio=number < arguments.audio_shards)
        if number < arguments.held_out_shards:
            render_shard(arguments.folder, number, keep_audio=True, held_out=True)
        print(f"shard {number} of {arguments.shards}", flush=True)


if __name__ == "__main__":
    main()
