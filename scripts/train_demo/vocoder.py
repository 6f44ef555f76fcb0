"""The vocoder: waveforms from hybrid log spectra, in one graph.

Below 1 kHz it works at a sixteenth of the sample rate with the long window, where chords live and
iterations cost next to nothing; above with the short window. Each path turns bands into
magnitudes (`Sharpener`, a small learned network, or the pseudo-inverse of the bank), starts from
phases that follow each spectral peak's frequency (single pass spectrogram inversion, Beauregard
et al. 2015), and lets a few fast Griffin-Lim steps (Perraudin et al. 2013) make them consistent.

A long piece is done window by window. Each window takes the spectrum that the one before found
for their first common frames, holds it, and lets its own phases go on from there, so that a held
partial passes a border as if there were none.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .spectrum import (
    BANDS,
    CROSSOVER_HZ,
    HOP,
    LONG_WINDOW,
    SAMPLE_RATE,
    SHORT_WINDOW,
    band_matrix,
    long_bands,
)

DECIMATION = 16
CROSSFADE_HZ = 60.0
LOW_BINS = range(2, 100)
HIGH_BINS = range(43, 652)
PEAK_REACH = 2
PAST_FRAMES = 48
"""Frames at the start of a window whose phases come from the window before."""


class Path(nn.Module):
    """Phase reconstruction over a range of STFT bins with a centred Hann window."""

    def __init__(self, window: int, hop: int, bins: range, steps: int, weights: np.ndarray) -> None:
        super().__init__()
        self.window, self.hop, self.steps = window, hop, steps
        self.first, self.bins = bins.start, len(bins)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32)[:, None])

    def start(
        self, magnitude: torch.Tensor, past: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Spectrum [B, 2K, M] of the magnitudes; each bin follows the nearest peak of its frame.

        Phases go on from the last frame of past [B, 2K, PAST_FRAMES] where `known` is 1.
        """
        batch, bins, frames = magnitude.shape
        level = torch.log(magnitude + 1e-7).transpose(1, 2).reshape(batch * frames, 1, bins)
        _, peak = F.max_pool1d(level, 2 * PEAK_REACH + 1, 1, PEAK_REACH, return_indices=True)
        for _ in range(3):
            peak = peak.gather(2, peak)
        left = level.gather(2, (peak - 1).clamp_min(0))
        middle = level.gather(2, peak)
        right = level.gather(2, (peak + 1).clamp_max(bins - 1))
        curve = (left - 2 * middle + right).clamp_max(-1e-3)
        offset = (0.5 * (left - right) / curve).clamp(-0.5, 0.5)
        cycles = (peak.to(offset.dtype) + self.first + offset) * (self.hop / self.window)
        advance = cycles - torch.floor(cycles + 0.5)
        advance = advance.reshape(batch, frames, bins)
        phase = torch.cumsum(advance, dim=1)
        phase = phase - known * phase[:, PAST_FRAMES - 1 : PAST_FRAMES]
        peak = peak.reshape(batch, frames, bins)
        angle = 2 * math.pi * phase.gather(2, peak)
        real, imaginary = past[..., -1].unsqueeze(1).chunk(2, dim=2)
        turn = torch.rsqrt((real * real + imaginary * imaginary).clamp_min(1e-16)) * known
        real = (real * turn + 1 - known).expand(-1, frames, -1).gather(2, peak)
        imaginary = (imaginary * turn).expand(-1, frames, -1).gather(2, peak)
        cos, sin = angle.cos(), angle.sin()
        level = magnitude.transpose(1, 2)
        turned = [level * (cos * real - sin * imaginary), level * (sin * real + cos * imaginary)]
        return torch.cat(turned, dim=2).transpose(1, 2)

    def kernel(self) -> torch.Tensor:
        """Windowed cosines and sines, time zero at the window's centre: [2K, 1, window].

        Computed where it is used: as a stored constant it would be most of the model file.
        """
        time = torch.arange(self.window) - self.window // 2
        bins = torch.arange(self.bins) + self.first
        # Whole turns are taken off first, so that large angles stay exact.
        turns = torch.remainder(bins[:, None] * time, self.window)
        angle = turns.to(torch.float32) * (2 * math.pi / self.window)
        hann = 0.5 + 0.5 * torch.cos(time.to(torch.float32) * (2 * math.pi / self.window))
        return (torch.cat([angle.cos(), -angle.sin()]) * hann).unsqueeze(1)

    def analyse(self, audio: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        padded = F.pad(audio, (self.window // 2, self.window // 2 - self.hop))
        return F.conv1d(padded, kernel, stride=self.hop)

    def synthesise(
        self, spectrum: torch.Tensor, samples: int, kernel: torch.Tensor
    ) -> torch.Tensor:
        # A Hann window squared, overlapped, adds up to 3/8 of the overlap.
        scale = 2 / self.window / (0.375 * self.window / self.hop) * self.window / 4
        audio = F.conv_transpose1d(spectrum, kernel, stride=self.hop) * scale
        return audio[..., self.window // 2 : self.window // 2 + samples]

    def forward(
        self, magnitude: torch.Tensor, past: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Waveforms [C, 1, hop * M] of the magnitudes [C, K, M] of one piece's channels.

        All channels get the phases of their common magnitude: what was in the middle stays there.
        past [1, 2K, PAST_FRAMES]: the spectrum that the window before found for these frames,
        zeros where there is none. The second result is this window's, [1, 2K, M].
        """
        common = magnitude.square().mean(dim=0, keepdim=True).sqrt()
        known = (past.abs().sum() > 0).to(common.dtype)
        samples = magnitude.shape[2] * self.hop
        kernel = self.kernel()

        def held(spectrum: torch.Tensor) -> torch.Tensor:
            first = known * past + (1 - known) * spectrum[..., :PAST_FRAMES]
            return torch.cat([first, spectrum[..., PAST_FRAMES:]], dim=2)

        last = self.start(common, past, known)
        leading = held(last)
        for _ in range(self.steps):
            audio = self.synthesise(self.imposed(leading, common), samples, kernel)
            projected = self.analyse(audio, kernel) * (4 / self.window)
            leading = held(projected + 0.99 * (projected - last))
            last = projected
        final = self.imposed(leading, magnitude * self.weights)
        return self.synthesise(final, samples, kernel), leading

    def imposed(self, spectrum: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
        """The spectrum's phases with the wanted magnitudes."""
        real, imaginary = spectrum.chunk(2, dim=1)
        gain = magnitude * torch.rsqrt((real * real + imaginary * imaginary).clamp_min(1e-12))
        return torch.cat([real * gain, imaginary * gain], dim=1)


def crossover(bins: range, window: int, rising: bool) -> np.ndarray:
    frequency = np.array(bins) * SAMPLE_RATE / window
    rise = np.clip((frequency - CROSSOVER_HZ + CROSSFADE_HZ) / (2 * CROSSFADE_HZ), 0, 1)
    return rise if rising else 1 - rise


class PseudoInverse(nn.Module):
    """Magnitudes of both paths by the bank's pseudo-inverse, negative values cut."""

    def __init__(self) -> None:
        super().__init__()
        count = long_bands()
        low = np.linalg.pinv(band_matrix(LONG_WINDOW)[:count])[list(LOW_BINS)]
        high = np.linalg.pinv(band_matrix(SHORT_WINDOW)[count:])[list(HIGH_BINS)]
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(high, dtype=torch.float32))

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bands = torch.exp(mel)
        count = long_bands()
        return (
            F.relu(self.low @ bands[:, :count]) + 1e-7,
            F.relu(self.high @ bands[:, count:BANDS]) + 1e-7,
        )


class Sharpener(nn.Module):
    """Learns what the bank's triangles blurred: a correction to the pseudo-inverse's logarithm."""

    def __init__(self, width: int = 256, blocks: int = 4) -> None:
        super().__init__()
        self.inverse = PseudoInverse()
        self.enter = nn.Conv1d(BANDS, width, 5, padding=2)
        self.mix = nn.ModuleList(
            nn.Conv1d(width, width, 7, padding=3, groups=width) for _ in range(blocks)
        )
        self.rise = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(blocks))
        self.fall = nn.ModuleList(nn.Conv1d(2 * width, width, 1) for _ in range(blocks))
        self.low = nn.Conv1d(width, len(LOW_BINS), 1)
        self.high = nn.Conv1d(width, len(HIGH_BINS), 1)
        for layer in (self.low, self.high):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = self.inverse(mel)
        x = self.enter((mel + 6) / 3)
        for mix, rise, fall in zip(self.mix, self.rise, self.fall, strict=True):
            x = x + fall(F.gelu(rise(mix(x)), approximate="tanh"))
        floor = 1e-5
        return (low + floor) * torch.exp(self.low(x)), (high + floor) * torch.exp(self.high(x))


class Vocoder(nn.Module):
    """mel [2, 128, M] (log hybrid spectra, left and right) to waveforms [2, 1, 512 M], 44.1 kHz.

    past_low, past_high and the results beside the waveform: see `Path.forward`.
    """

    def __init__(self, magnitudes: nn.Module, low_steps: int = 32, high_steps: int = 6) -> None:
        super().__init__()
        self.magnitudes = magnitudes
        self.low = Path(
            LONG_WINDOW // DECIMATION,
            HOP // DECIMATION,
            LOW_BINS,
            low_steps,
            crossover(LOW_BINS, LONG_WINDOW, rising=False),
        )
        self.high = Path(
            SHORT_WINDOW,
            HOP,
            HIGH_BINS,
            high_steps,
            crossover(HIGH_BINS, SHORT_WINDOW, rising=True),
        )
        # Windowed sinc that brings the low path back to the full rate.
        reach = 12 * DECIMATION
        time = np.arange(-reach, reach + 1) / DECIMATION
        sinc = np.sinc(time) * np.kaiser(len(time), 8.0)
        self.reach = reach
        self.register_buffer("sinc", torch.tensor(sinc, dtype=torch.float32)[None, None])

    def forward(
        self, mel: torch.Tensor, past_low: torch.Tensor, past_high: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        low, high = self.magnitudes(mel)
        slow, present_low = self.low(low, past_low)
        quick, present_high = self.high(high, past_high)
        bass = F.conv_transpose1d(slow, self.sinc, stride=DECIMATION)
        bass = bass[..., self.reach : self.reach + mel.shape[2] * HOP]
        missing = mel.shape[2] * HOP - bass.shape[2]
        return F.pad(bass, (0, missing)) + quick, present_low, present_high
