"""Measures the bundle: generated tracks beside held-out renders and noise through the decoder.

Generated tracks come from the package's own pipeline. Held-out clips are played by the band from
plans of other prompts and seeds, and finished by the same mastering. Every figure is written to a
JSON file and printed as a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from lofi_daemon.backends.ace_step.bundle import Mastering
from lofi_daemon.backends.ace_step.mastering import master
from lofi_daemon.backends.ace_step.pipeline import AceStepPipeline
from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.score import Score, latent_frames
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

from . import metrics
from .classifier import Classifier, judge, mono_bands
from .codec import Codec
from .prompts import Request, planned, requests
from .spectrum import log_spectrum
from .studio import SAMPLE_RATE, add_textures, perform

DURATION = 20.0
STRENGTHS = {"rain": 1.0, "vinyl": 1.0}
WINDOW_FRAMES = 48


@dataclass
class Clip:
    """A clip, the score it should follow, and the request behind it."""

    audio: np.ndarray
    score: Score
    request: Request


def to_studio_rate(samples: np.ndarray, rate: int) -> np.ndarray:
    return soxr.resample(samples.T, rate, SAMPLE_RATE).T.astype(np.float32)


def generate(pipeline: AceStepPipeline, request: Request, duration: float) -> Clip:
    clip = pipeline.generate(GenerationRequest(request.prompt, duration, request.seed))
    audio = to_studio_rate(clip.samples, clip.sample_rate)
    return Clip(audio, planned(request, duration), request)


def held_out(request: Request, duration: float) -> Clip:
    score = planned(request, duration)
    audio = perform(score, duration, request.seed)
    audio = np.ascontiguousarray(add_textures(audio, score, STRENGTHS, request.seed))
    master(audio, SAMPLE_RATE, Mastering())
    return Clip(audio, score, request)


def noise(pipeline: AceStepPipeline, request: Request, duration: float) -> Clip:
    shape = (1, 8, 16, latent_frames(duration))
    latents = np.random.default_rng(request.seed).standard_normal(shape).astype(np.float32)
    clip = pipeline.decode(latents, duration, lambda progress: None, CancelToken())
    audio = to_studio_rate(clip.samples, clip.sample_rate)
    return Clip(audio, planned(request, duration), request)


def tempo_share(clips: list[Clip]) -> float:
    """Share of clips whose measured tempo is within 2 % of the planned one."""
    hits = [
        abs(metrics.tempo_essentia(clip.audio) / clip.score.beats_per_minute - 1) < 0.02
        for clip in clips
    ]
    return float(np.mean(hits))


def adherence(clips: list[Clip], classifier: Classifier) -> dict[str, float]:
    """Share of asked values the classifier finds, by wording and by attribute."""
    tallies: dict[str, list[bool]] = {}
    for clip in clips:
        heard = judge(classifier, mono_bands(clip.audio))
        for attribute, value in clip.request.stated.items():
            right = heard[attribute] == value
            for key in (clip.request.style, attribute, "all"):
                tallies.setdefault(key, []).append(right)
    return {key: round(float(np.mean(hits)), 3) for key, hits in sorted(tallies.items())}


def windows_of(codec: Codec, clip: Clip) -> np.ndarray:
    """Latents of the clip's two-bar-aligned windows, flattened: [N, WINDOW_FRAMES * 126]."""
    bands = log_spectrum(torch.from_numpy(clip.audio))
    frames = bands.shape[-1] // 8
    blocks = bands[..., : 8 * frames].reshape(2, 128, frames, 8).permute(2, 0, 1, 3).numpy()
    latents = codec.encode(blocks, np.zeros(2, np.float32))[:, :126]
    return cut(latents, clip.score.bar_frames)


def cut(latents: np.ndarray, bar_frames: int) -> np.ndarray:
    starts = range(0, len(latents) - WINDOW_FRAMES + 1, bar_frames)
    return np.stack([latents[start : start + WINDOW_FRAMES].ravel() for start in starts])


def training_windows(codec: Codec, paths: list[Path]) -> np.ndarray:
    from .train_flow import read_pieces

    parts = [
        cut(piece.latents[:, :126].astype(np.float32), piece.bar_frames)
        for piece in read_pieces(paths, codec)
    ]
    return np.concatenate(parts).astype(np.float32)


def nearest(queries: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Root mean square distance of each query to its nearest neighbour."""
    squares = (queries**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * queries @ known.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0) / queries.shape[1])


def pair_distance(first: Clip, second: Clip) -> float:
    """Root mean square difference of two log spectra in nats, time-aligned."""
    one, two = mono_bands(first.audio), mono_bands(second.audio)
    frames = min(one.shape[1], two.shape[1])
    return float((one[:, :frames] - two[:, :frames]).square().mean().sqrt())


def other_seed(request: Request) -> Request:
    return Request(request.prompt, request.stated, request.style, request.seed + 100_000)


def health(clips: list[Clip]) -> dict[str, float]:
    levels = [metrics.loudness(clip.audio) for clip in clips]
    return {
        "loudest_peak": round(float(max(np.abs(clip.audio).max() for clip in clips)), 4),
        "largest_dc": float(f"{max(np.abs(clip.audio.mean(axis=1)).max() for clip in clips):.1e}"),
        "lufs_lowest": round(min(levels), 2),
        "lufs_highest": round(max(levels), 2),
        "longest_silence_sec": max(metrics.longest_silence(clip.audio) for clip in clips),
    }


def form(pipeline: AceStepPipeline, seed: int) -> dict[str, object]:
    """A 240 s track: sections, drift, tempo by minute, ending, and its largest level step."""
    request = Request("lofi beat to study to", {}, "plain", seed)
    clip = generate(pipeline, request, 240.0)
    score = clip.score
    features = metrics.bar_features(clip.audio, score)
    sections = [bar.section for bar in score.bars][: len(features)]
    minute = 60 * SAMPLE_RATE
    tempos = [
        metrics.tempo_essentia(clip.audio[:, start : start + minute])
        for start in range(0, clip.audio.shape[1] - minute + 1, minute)
    ]
    body = np.sqrt(np.mean(clip.audio[:, 60 * SAMPLE_RATE : 180 * SAMPLE_RATE] ** 2))
    tail = np.sqrt(np.mean(clip.audio[:, -SAMPLE_RATE // 2 :] ** 2))
    blocks = clip.audio[:, : clip.audio.shape[1] // 441 * 441].reshape(2, -1, 441)
    steps = np.abs(np.diff(blocks, axis=2)).max(axis=(0, 2))
    return {
        "seed": seed,
        "sections_told_apart": metrics.sections_told_apart(features, sections),
        "level_drift_db": round(metrics.level_drift(clip.audio, score), 2),
        "planned_bpm": round(score.beats_per_minute, 2),
        "bpm_by_minute": [round(value, 2) for value in tempos],
        "ending_db_below_body": round(float(20 * np.log10(body / max(tail, 1e-9))), 1),
        "largest_sample_step": round(float(steps.max()), 3),
        "sample_step_99.9_percent": round(float(np.quantile(steps, 0.999)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path, help="the training shards")
    parser.add_argument("trained", type=Path, help="folder with codec.npz and classifier.pt")
    parser.add_argument("output", type=Path, help="JSON file")
    parser.add_argument("--tracks", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = arguments.tracks
    pipeline = AceStepPipeline(
        arguments.bundle, SessionSettings(threads=arguments.threads), compose=compose_score
    )
    classifier = Classifier().eval()
    classifier.load_state_dict(torch.load(arguments.trained / "classifier.pt", weights_only=True))
    codec = Codec.load(arguments.trained / "codec.npz")
    results: dict[str, object] = {"tracks": count, "seconds_each": DURATION}

    def write(**found: object) -> None:
        results.update(found)
        arguments.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(json.dumps(found, ensure_ascii=False), flush=True)

    began = time.monotonic()
    asked = requests(count, seed=11)
    generated = [generate(pipeline, request, DURATION) for request in asked]
    elapsed = time.monotonic() - began
    write(generation_times_real_time=round(count * DURATION / elapsed, 2))
    others = requests(count, seed=12)
    real = [held_out(request, DURATION) for request in others]
    noises = [noise(pipeline, request, DURATION) for request in others[: max(4, count // 4)]]
    sets = {"generated": generated, "held_out": real, "noise": noises}

    statistics = {
        name: np.stack([metrics.spectrum_statistics(clip.audio) for clip in clips])
        for name, clips in sets.items()
    }
    floor = metrics.half_distances(statistics["held_out"], None)
    distance = metrics.half_distances(statistics["generated"], statistics["held_out"])
    noise_distance = metrics.frechet_distance(statistics["noise"], statistics["held_out"])
    write(
        frechet_held_out_halves=round(floor, 1),
        frechet_generated=round(distance, 1),
        frechet_noise=round(noise_distance, 1),
        frechet_ratio=round(distance / floor, 2),
        frechet_noise_ratio=round(noise_distance / floor, 1),
    )
    write(chord_ratio=_medians(metrics.chord_ratio, sets))
    write(beat_strength=_medians(metrics.beat_strength, sets))
    write(adherence={k: adherence(v, classifier) for k, v in sets.items() if k != "noise"})
    write(health=health(generated))
    voice = metrics.VoiceDetector()
    write(voice_share={k: round(float(max(voice(c.audio) for c in v)), 4) for k, v in sets.items()})
    write(tempo_within_2_percent={k: round(tempo_share(v), 3) for k, v in sets.items()})

    pairs = asked[:: max(1, count // 15)][:15]
    same = [
        pair_distance(generate(pipeline, a, DURATION), generate(pipeline, other_seed(a), DURATION))
        for a in pairs
    ]
    same_real = [
        pair_distance(held_out(a, DURATION), held_out(other_seed(a), DURATION)) for a in pairs
    ]
    write(
        nearest_pair_of_seeds={
            "generated": round(min(same), 3),
            "held_out": round(min(same_real), 3),
        }
    )
    known = training_windows(codec, sorted(arguments.data.glob("train-????.npz")))
    distances = {
        name: nearest(np.concatenate([windows_of(codec, c) for c in clips]), known)
        for name, clips in (("generated", generated), ("held_out", real))
    }
    write(
        nearest_training_window={
            name: {"smallest": round(float(d.min()), 3), "median": round(float(np.median(d)), 3)}
            for name, d in distances.items()
        }
    )
    write(form=[form(pipeline, seed) for seed in (1, 2)])
    write(minutes=round((time.monotonic() - began) / 60, 1))


def _medians(
    figure: Callable[[np.ndarray, Score], float], sets: dict[str, list[Clip]]
) -> dict[str, float]:
    return {
        name: round(float(np.median([figure(clip.audio, clip.score) for clip in clips])), 3)
        for name, clips in sets.items()
    }


if __name__ == "__main__":
    main()
