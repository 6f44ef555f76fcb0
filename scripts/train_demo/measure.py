"""Sums up the figures of `tracks.py`: generated beside held-out clips and noise, as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import metrics
from .codec import COMPONENTS, Codec
from .tracks import DURATION
from .train_flow import read_pieces

SETS = ("generated", "held_out", "noise")


class Tracks:
    """Figures and arrays of one kind of clip, in order."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.json"))
        self.figures: list[dict[str, Any]] = [json.loads(path.read_text()) for path in paths]
        arrays = [path.with_suffix(".npz") for path in paths]
        self.arrays = [np.load(path) for path in arrays if path.exists()]

    def column(self, name: str) -> np.ndarray:
        return np.array([figures[name] for figures in self.figures])


def adherence(tracks: Tracks) -> dict[str, float]:
    """Share of asked values the classifier found, by wording and by attribute."""
    tallies: dict[str, list[bool]] = {}
    for figures in tracks.figures:
        for attribute, right in figures["found"].items():
            for key in (figures["style"], attribute, "all"):
                tallies.setdefault(key, []).append(right)
    return {key: round(float(np.mean(hits)), 3) for key, hits in sorted(tallies.items())}


def tempo_share(tracks: Tracks) -> float:
    errors = np.abs(tracks.column("bpm") / tracks.column("planned_bpm") - 1)
    return round(float(np.mean(errors < 0.02)), 3)


def nearest_pair(first_seed: Tracks, second_seed: Tracks) -> float:
    """Smallest root mean square difference of log spectra between two seeds of one prompt."""
    distances: list[float] = []
    for one, two in zip(first_seed.arrays, second_seed.arrays, strict=False):
        first_body, second_body = metrics.body(one["bands"]), metrics.body(two["bands"])
        difference = first_body.astype(np.float32) - second_body.astype(np.float32)
        distances.append(float(np.sqrt(np.mean(difference**2))))
    return round(min(distances), 3)


def nearest_training(tracks: Tracks, known: np.ndarray) -> dict[str, float]:
    queries = np.concatenate([arrays["windows"] for arrays in tracks.arrays]).astype(np.float32)
    distances = metrics.nearest(queries, known)
    return {
        "smallest": round(float(distances.min()), 3),
        "median": round(float(np.median(distances)), 3),
    }


def training_windows(codec: Codec, paths: list[Path]) -> np.ndarray:
    return np.concatenate(
        [
            metrics.bar_windows(piece.latents[:, :COMPONENTS].astype(np.float32), piece.bar_frames)
            for piece in read_pieces(paths, codec)
        ]
    )


def median_where_known(tracks: Tracks, name: str) -> float | None:
    """Median of a figure over the tracks that have it."""
    known = [figures[name] for figures in tracks.figures if figures[name] is not None]
    return round(float(np.median(known)), 2) if known else None


def first_minute(tracks: Tracks) -> dict[str, Any]:
    """What a listener notices first."""
    found: dict[str, Any] = {
        name: median_where_known(tracks, name)
        for name in ("lead_spread_db", "attack_ms", "pre_echo_db", "start_db", "recurrence")
    }
    first = [bar for bar in tracks.column("first_drum_bar") if bar is not None]
    found["beat_within_two_bars"] = round(float(np.mean(np.array(first) <= 2)), 3)
    found["width"] = {
        band: [round(float(np.median([each["width"][band][at] for each in tracks.figures])), 3)
               for at in range(2)]
        for band in tracks.figures[0]["width"]
    }  # fmt: skip
    return found


def of_each(sets: dict[str, Tracks], figure: Callable[[Tracks], float]) -> dict[str, float]:
    return {name: figure(tracks) for name, tracks in sets.items()}


def median_of(name: str) -> Callable[[Tracks], float]:
    return lambda tracks: round(float(np.median(tracks.column(name))), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", type=Path, help="folder that tracks.py wrote")
    parser.add_argument("data", type=Path, help="the training shards")
    parser.add_argument("codec", type=Path)
    parser.add_argument("output", type=Path, help="JSON file")
    arguments = parser.parse_args()
    sets = {name: Tracks(arguments.tracks / name) for name in SETS}
    generated, held_out = sets["generated"], sets["held_out"]
    statistics = {
        name: np.stack([metrics.band_statistics(arrays["bands"]) for arrays in tracks.arrays])
        for name, tracks in sets.items()
    }
    floor = metrics.half_distances(statistics["held_out"], None)
    distance = metrics.half_distances(statistics["generated"], statistics["held_out"])
    whole = metrics.frechet_distance(statistics["generated"], statistics["held_out"])
    noise = metrics.frechet_distance(statistics["noise"], statistics["held_out"])
    loudness = generated.column("loudness")
    known = training_windows(
        Codec.load(arguments.codec), sorted(arguments.data.glob("train-????.npz"))
    )
    results = {
        "tracks": {name: len(tracks.figures) for name, tracks in sets.items()},
        "seconds_each": DURATION,
        "frechet_held_out_halves": round(floor, 1),
        "frechet_generated": round(whole, 1),
        "frechet_generated_halves": round(distance, 1),
        "frechet_noise": round(noise, 1),
        "frechet_ratio": round(whole / floor, 2),
        "frechet_halves_ratio": round(distance / floor, 2),
        "frechet_noise_ratio": round(noise / floor, 1),
        "tempo_within_2_percent": of_each(sets, tempo_share),
        "beat_strength": of_each(sets, median_of("beat_strength")),
        "chord_ratio": of_each(sets, median_of("chord_ratio")),
        "adherence": {"generated": adherence(generated), "held_out": adherence(held_out)},
        "voice_share": of_each(sets, lambda tracks: round(float(tracks.column("voice").max()), 4)),
        "nearest_pair_of_seeds": {
            "generated": nearest_pair(generated, Tracks(arguments.tracks / "other_seed")),
            # Held-out clips of the same tags under two seeds.
            "held_out": nearest_pair(
                Tracks(arguments.tracks / "held_out_same_tags"),
                Tracks(arguments.tracks / "held_out_other_seed"),
            ),
        },
        "nearest_training_window": {
            name: nearest_training(sets[name], known) for name in ("generated", "held_out")
        },
        "first_minute": {name: first_minute(sets[name]) for name in ("generated", "held_out")},
        "health": {
            "loudest_peak": round(float(generated.column("peak").max()), 4),
            "largest_dc": float(f"{generated.column('dc').max():.1e}"),
            "lufs_lowest": round(float(loudness.min()), 2),
            "lufs_highest": round(float(loudness.max()), 2),
            "longest_silence_sec": float(generated.column("silence").max()),
        },
        "form": Tracks(arguments.tracks / "long").figures,
    }
    arguments.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
