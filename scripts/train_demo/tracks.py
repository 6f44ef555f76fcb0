"""Makes the tracks that the bundle is measured on, and the figures of each, one file a track.

Generated tracks come from the package's own pipeline. Held-out clips are played by the band from
plans of other prompts and seeds and finished by the same mastering. Noise is Gaussian latents
through the decoder. A track that is there already is kept, so the work can be split and resumed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from lofi_daemon.backends.demo.backend import COMPOSERS
from lofi_daemon.backends.demo.score import Score, latent_frames
from lofi_daemon.backends.kit.manifest import Mastering
from lofi_daemon.backends.kit.mastering import master
from lofi_daemon.backends.kit.mel_diffusion.bundle import read_manifest
from lofi_daemon.backends.kit.mel_diffusion.editing import OUTPUT_SAMPLE_RATE
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

from . import listening, metrics
from .classifier import Classifier, judge, mono_bands
from .codec import COMPONENTS, Codec
from .prompts import Request, planned, requests
from .spectrum import log_spectrum
from .studio import SAMPLE_RATE, add_textures, perform

DURATION = 20.0
LONG_DURATION = 240.0
STRENGTHS = {"rain": 1.0, "vinyl": 1.0}
KINDS = (
    "generated",
    "held_out",
    "noise",
    "other_seed",
    "held_out_same_tags",
    "held_out_other_seed",
    "long",
)
OTHER_SEED = 100_000


@dataclass
class Clip:
    """A clip, the score it should follow, and the request behind it."""

    audio: np.ndarray
    score: Score
    request: Request


class Studio:
    """Makes clips of every kind."""

    def __init__(self, bundle: Path, threads: int) -> None:
        settings = SessionSettings(threads=threads)
        compose = COMPOSERS[read_manifest(bundle).score or "lofi"]
        self.pipeline = AceStepPipeline(bundle, settings, compose=compose)

    def make(self, kind: str, request: Request) -> Clip:
        duration = LONG_DURATION if kind == "long" else DURATION
        score = planned(request, duration)
        if kind.startswith("held_out"):
            audio = perform(score, duration, request.seed)
            audio = np.ascontiguousarray(add_textures(audio, score, STRENGTHS, request.seed))
            master(audio, SAMPLE_RATE, Mastering())
            return Clip(audio, score, request)
        if kind == "noise":
            shape = (1, 8, 16, latent_frames(duration))
            latents = np.random.default_rng(request.seed).standard_normal(shape)
            frames = round(duration * OUTPUT_SAMPLE_RATE)
            clip = self.pipeline.decode(
                latents.astype(np.float32), frames, lambda progress: None, CancelToken()
            )
        else:
            clip = self.pipeline.generate(GenerationRequest(request.prompt, duration, request.seed))
        audio = soxr.resample(clip.samples.T, clip.sample_rate, SAMPLE_RATE).T
        return Clip(np.ascontiguousarray(audio, dtype=np.float32), score, request)


def requests_of(kind: str, count: int) -> list[Request]:
    """The requests of one kind of clip; every kind has its own, or those it is compared with."""
    if kind == "long":
        return [
            Request("lofi beat to study to", {}, "plain", seed)
            for seed in range(1, 1 + count // 40)
        ]
    if kind == "noise":
        return requests(count, seed=12)[: max(4, count // 4)]
    if kind in ("other_seed", "held_out_same_tags", "held_out_other_seed"):
        moved = OTHER_SEED if kind.endswith("other_seed") else 0
        return [
            Request(each.prompt, each.stated, each.style, each.seed + moved)
            for each in requests(count, seed=11)[: max(4, count // 7)]
        ]
    return requests(count, seed=11 if kind == "generated" else 12)


def windows(codec: Codec, audio: np.ndarray, bar_frames: int) -> np.ndarray:
    """Latents of the clip's windows that start on bar lines: [N, frames * 126], float16."""
    bands = log_spectrum(torch.from_numpy(audio))
    frames = bands.shape[-1] // 8
    blocks = bands[..., : 8 * frames].reshape(2, 128, frames, 8).permute(2, 0, 1, 3).numpy()
    latents = codec.encode(blocks, np.zeros(2, np.float32))[:, :COMPONENTS]
    return metrics.bar_windows(latents, bar_frames).astype(np.float16)


def figures(clip: Clip, classifier: Classifier, voice: metrics.VoiceDetector) -> dict[str, object]:
    """Every figure of one 20 s clip."""
    audio, score = clip.audio, clip.score
    heard = judge(classifier, mono_bands(audio))
    attack = listening.attacks(audio, listening.hit_times(score))
    drums = [index for index, bar in enumerate(score.bars) if "drums" in bar.parts]
    return {
        "prompt": clip.request.prompt,
        "style": clip.request.style,
        "seed": clip.request.seed,
        "asked": clip.request.stated,
        "found": {name: heard[name] == value for name, value in clip.request.stated.items()},
        "planned_bpm": score.beats_per_minute,
        "bpm": metrics.tempo_essentia(audio),
        "beat_strength": metrics.beat_strength(audio, score),
        "chord_ratio": metrics.chord_ratio(audio, score),
        "loudness": metrics.loudness(audio),
        "peak": float(np.abs(audio).max()),
        "dc": float(np.abs(audio.mean(axis=1)).max()),
        "silence": metrics.longest_silence(audio),
        "voice": voice(audio),
        "lead_spread_db": listening.lead_spread(audio, score),
        "attack_ms": None if attack is None else attack[0],
        "pre_echo_db": None if attack is None else attack[1],
        "start_db": listening.start_level(audio),
        "width": listening.width(audio),
        "recurrence": listening.recurrence(
            log_spectrum(torch.from_numpy(audio))[0, 84:106].numpy()
        ),
        "first_drum_bar": drums[0] if drums else None,
    }


def long_figures(clip: Clip) -> dict[str, object]:
    """Sections, drift, tempo by minute and ending of a 240 s track."""
    audio, score = clip.audio, clip.score
    features = metrics.bar_features(audio, score)
    sections = [bar.section for bar in score.bars][: len(features)]
    minute = 60 * SAMPLE_RATE
    starts = range(0, audio.shape[1] - minute + 1, minute)
    body = float(np.sqrt(np.mean(audio[:, minute : 3 * minute] ** 2)))
    tail = float(np.sqrt(np.mean(audio[:, -SAMPLE_RATE // 2 :] ** 2)))
    return {
        "seed": clip.request.seed,
        "sections_told_apart": metrics.sections_told_apart(features, sections),
        "level_drift_db": round(metrics.level_drift(audio, score), 2),
        "planned_bpm": round(score.beats_per_minute, 2),
        "bpm_by_minute": [
            round(metrics.tempo_essentia(audio[:, start : start + minute]), 2) for start in starts
        ],
        "ending_db_below_body": round(float(20 * np.log10(body / max(tail, 1e-9))), 1),
        "seam_flux": metrics.seam_flux(audio),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("trained", type=Path, help="folder with codec.npz and classifier.pt")
    parser.add_argument("output", type=Path, help="folder for the figures")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1, help="parts the work is split into")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    studio = Studio(arguments.bundle, arguments.threads)
    classifier = Classifier().eval()
    classifier.load_state_dict(torch.load(arguments.trained / "classifier.pt", weights_only=True))
    codec = Codec.load(arguments.trained / "codec.npz")
    voice = metrics.VoiceDetector()
    for kind in arguments.kinds:
        folder = arguments.output / kind
        folder.mkdir(parents=True, exist_ok=True)
        for index, request in enumerate(requests_of(kind, arguments.count)):
            path = folder / f"{index:03d}.json"
            if index % arguments.of != arguments.part or path.exists():
                continue
            clip = studio.make(kind, request)
            if kind == "long":
                found = long_figures(clip)
            else:
                found = figures(clip, classifier, voice)
                np.savez_compressed(
                    path.with_suffix(".npz"),
                    bands=mono_bands(clip.audio).numpy().astype(np.float16),
                    windows=windows(codec, clip.audio, clip.score.bar_frames),
                )
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
            print(kind, index, flush=True)


if __name__ == "__main__":
    main()
