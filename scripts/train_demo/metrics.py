"""Figures of merit of a clip or of two sets of clips, as plain functions.

Audio is float32 [2, samples] at 44.1 kHz unless said otherwise.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import librosa
import numpy as np
import onnxruntime
import pyloudnorm
from scipy.linalg import sqrtm

from lofi_daemon.backends.demo.score import BEATS_PER_BAR, LATENT_RATE, Score

SAMPLE_RATE = 44100
SPECTRUM_BANDS = 32


def spectrum_statistics(audio: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of 32 log mel bands (dB): [64]."""
    power = librosa.feature.melspectrogram(
        y=audio.mean(axis=0), sr=SAMPLE_RATE, n_fft=2048, hop_length=1024, n_mels=SPECTRUM_BANDS,
        fmax=14000,
    )  # fmt: skip
    level = 10 * np.log10(power + 1e-6)
    return np.concatenate([level.mean(axis=1), level.std(axis=1)])


def body(bands: np.ndarray) -> np.ndarray:
    """A spectrum [128, M] without its last two seconds, where tracks fade out."""
    return bands[:, : bands.shape[1] - 2 * SAMPLE_RATE // 512]


def band_statistics(bands: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of a log spectrum in dB, four bands in one: [64].

    bands: [128, M]; the fade at the end is left out.
    """
    steady = body(bands).astype(np.float64)
    level = 20 / np.log(10) * steady.reshape(SPECTRUM_BANDS, -1, steady.shape[1]).mean(axis=1)
    return np.concatenate([level.mean(axis=1), level.std(axis=1)])


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of vectors [N, D] taken as normal distributions."""
    means = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.cov(first.T), np.cov(second.T)
    root = np.real(sqrtm(one @ two))
    return float(means @ means + np.trace(one) + np.trace(two) - 2 * np.trace(root))


def half_distances(
    first: np.ndarray, second: np.ndarray | None, rounds: int = 20, seed: int = 0
) -> float:
    """Mean Fréchet distance of random halves: of one set, or of one set against another.

    Halves on both sides, because the distance of small samples grows as they get smaller.
    """
    rng = np.random.default_rng(seed)
    found: list[float] = []
    half = len(first) // 2
    for _ in range(rounds):
        order = rng.permutation(len(first))
        if second is None:
            found.append(frechet_distance(first[order[:half]], first[order[half:]]))
        else:
            other = rng.permutation(len(second))[:half]
            found.append(frechet_distance(first[order[:half]], second[other]))
    return float(np.mean(found))


def tempo_essentia(audio: np.ndarray) -> float:
    """Beats a minute by essentia's RhythmExtractor2013 (AGPL: a measuring tool only)."""
    import essentia
    import essentia.standard

    essentia.log.infoActive = False
    essentia.log.warningActive = False
    extractor = essentia.standard.RhythmExtractor2013(method="multifeature")
    return float(extractor(audio.mean(axis=0).astype(np.float32))[0])


def beat_strength(audio: np.ndarray, score: Score) -> float:
    """Autocorrelation of the onset strength at a lag of one beat of the score."""
    onsets = librosa.onset.onset_strength(y=audio.mean(axis=0), sr=SAMPLE_RATE, hop_length=512)
    onsets = onsets - onsets.mean()
    lag = score.bar_frames * 8 / BEATS_PER_BAR
    low = int(lag)
    correlation = np.correlate(onsets, onsets, "full")[len(onsets) - 1 :]
    around = correlation[low] * (1 - (lag - low)) + correlation[low + 1] * (lag - low)
    return float(around / correlation[0])


def chord_ratio(audio: np.ndarray, score: Score) -> float:
    """Median over half bars of energy on planned chord tones against the other pitch classes."""
    chroma = (
        np.abs(
            librosa.cqt(audio.mean(axis=0), sr=SAMPLE_RATE, hop_length=2048, fmin=130.81, n_bins=36)
        )
        ** 2
    )
    half = score.bar_frames
    ratios: list[float] = []
    for index, bar in enumerate(score.bars):
        for part, chord in enumerate(bar.chords):
            begin = (2 * index + part) * half
            energy = chroma[:, begin : begin + half].sum(axis=1).reshape(3, 12).sum(axis=0)
            if begin + half > chroma.shape[1] or energy.sum() < 1e-9:
                continue
            on = np.isin(np.arange(12), chord.pitch_classes)
            ratios.append(float(energy[on].mean() / energy[~on].mean()))
    return float(np.median(ratios))


def loudness(audio: np.ndarray) -> float:
    return float(pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(audio.T))


def longest_silence(audio: np.ndarray, threshold_db: float = -60) -> float:
    """Seconds of the longest stretch below a level in 10 ms blocks."""
    block = SAMPLE_RATE // 100
    mono = np.abs(audio).max(axis=0)
    peaks = mono[: len(mono) // block * block].reshape(-1, block).max(axis=1)
    longest = run = 0
    for quiet in peaks < 10 ** (threshold_db / 20):
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest / 100


class VoiceDetector:
    """silero-vad's probability of a voice, by its own ONNX graph at 16 kHz."""

    def __init__(self) -> None:
        # Found, not imported: the package itself wants torchaudio.
        package = importlib.util.find_spec("silero_vad")
        assert package is not None
        assert package.origin is not None
        path = Path(package.origin).parent / "data" / "silero_vad.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)

    def __call__(self, audio: np.ndarray) -> float:
        """Share of 32 ms blocks heard as voice (probability over one half)."""
        mono = librosa.resample(audio.mean(axis=0), orig_sr=SAMPLE_RATE, target_sr=16000)
        state = np.zeros((2, 1, 128), np.float32)
        context = np.zeros((1, 64), np.float32)
        voiced = blocks = 0
        for start in range(0, len(mono) - 512, 512):
            block = mono[None, start : start + 512].astype(np.float32)
            feeds = {
                "input": np.concatenate([context, block], axis=1),
                "state": state,
                "sr": np.array(16000, np.int64),
            }
            probability, state = self.session.run(None, feeds)
            context = block[:, -64:]
            voiced += int(probability[0, 0] > 0.5)
            blocks += 1
        return voiced / max(1, blocks)


def bar_features(audio: np.ndarray, score: Score) -> np.ndarray:
    """Log band levels and their movement of each whole bar: [bars, 48]."""
    power = librosa.feature.melspectrogram(
        y=audio.mean(axis=0), sr=SAMPLE_RATE, n_fft=2048, hop_length=512, n_mels=24, fmax=12000
    )
    level = 10 * np.log10(power + 1e-6)
    flux = np.maximum(np.diff(level, axis=1, prepend=level[:, :1]), 0)
    frames = score.bar_frames * 8
    count = level.shape[1] // frames
    rows = [
        np.concatenate(
            [part[:, i * frames : (i + 1) * frames].mean(axis=1) for part in (level, flux)]
        )
        for i in range(count)
    ]
    return np.stack(rows)


def sections_told_apart(
    features: np.ndarray, sections: list[str], shuffles: int = 500
) -> list[str]:
    """The largest first set of sections that differ pairwise more than chance allows.

    A pair differs if fewer than 5 % of random relabellings of its bars put the centroids farther
    apart.
    """
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    rng = np.random.default_rng(0)
    names = [name for name in dict.fromkeys(sections) if sections.count(name) >= 2]
    bars = {name: scaled[[section == name for section in sections]] for name in names}

    def apart(first: str, second: str) -> bool:
        both = np.concatenate([bars[first], bars[second]])
        count = len(bars[first])

        def gap(order: np.ndarray) -> float:
            one, two = both[order[:count]], both[order[count:]]
            return float(np.linalg.norm(one.mean(axis=0) - two.mean(axis=0)))

        real = gap(np.arange(len(both)))
        chance = [gap(rng.permutation(len(both))) >= real for _ in range(shuffles)]
        return float(np.mean(chance)) < 0.05

    chosen: list[str] = []
    for name in sorted(names, key=lambda name: -len(bars[name])):
        if all(apart(name, other) for other in chosen):
            chosen.append(name)
    return chosen


def level_drift(audio: np.ndarray, score: Score) -> float:
    """Difference in dB between the loudness of the first and the last groove bars."""
    frame = round(score.bar_frames * SAMPLE_RATE / LATENT_RATE)
    groove = [i for i, bar in enumerate(score.bars) if bar.section == "groove"]
    levels = [np.mean(audio[:, i * frame : (i + 1) * frame] ** 2) for i in groove]
    third = max(1, len(levels) // 3)
    return float(10 * np.log10(np.mean(levels[-third:]) / np.mean(levels[:third])))


WINDOW_FRAMES = 48


def bar_windows(latents: np.ndarray, bar_frames: int) -> np.ndarray:
    """Windows of latents [T, D] that start on bar lines: [N, WINDOW_FRAMES * D]."""
    starts = range(0, len(latents) - WINDOW_FRAMES + 1, bar_frames)
    return np.stack([latents[start : start + WINDOW_FRAMES].ravel() for start in starts])


def nearest(queries: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Root mean square distance of each query [N, D] to its nearest neighbour in [M, D]."""
    squares = (queries**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * queries @ known.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0) / queries.shape[1])


def seam_flux(audio: np.ndarray) -> dict[str, float]:
    """The largest step between neighbouring samples, and that of a thousandth of 10 ms blocks.

    A click at a seam is a step far above what the music itself has.
    """
    block = SAMPLE_RATE // 100
    whole = (audio.shape[1] - 1) // block * block
    steps = np.abs(np.diff(audio[:, : whole + 1], axis=1))
    largest = steps.reshape(2, -1, block).max(axis=(0, 2))
    return {
        "largest": round(float(largest.max()), 3),
        "one_in_a_thousand": round(float(np.quantile(largest, 0.999)), 3),
    }
