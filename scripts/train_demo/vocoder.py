"""The vocoder: waveforms from hybrid log spectra, in one graph.

Every range of the front end has a path of its own: below 1 kHz with the long window and at a
sixteenth of the sample rate, where chords live and iterations cost next to nothing; at the top
with the short one, which keeps an attack where it is. Each path turns bands into magnitudes
(`Sharpener`, a small learned network on top of the bank's pseudo-inverse), starts from phases that
follow each spectral peak's frequency (single pass spectrogram inversion, Beauregard et al. 2015),
and lets fast Griffin-Lim steps (Perraudin et al. 2013) make them consistent.

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
    HOP,
    SAMPLE_RATE,
    SECOND,
    FrontEnd,
    Range,
    crossovers,
)

CROSSFADE_HZ = 60.0
PEAK_REACH = 2
PAST_FRAMES = 48
"""Frames at the start of a window whose phases come from the window before."""


class Path(nn.Module):
    """Phase reconstruction over a range of STFT bins with a centred Hann window."""

    def __init__(self, each: Range, weights: np.ndarray) -> None:
        super().__init__()
        self.window = each.window // each.decimation
        self.hop = each.hop // each.decimation
        self.steps, self.own_phases = each.steps, each.own_phases
        self.past = PAST_FRAMES * each.per_frame
        self.first, self.bins = each.bins.start, len(each.bins)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32)[:, None])

    def start(
        self, magnitude: torch.Tensor, past: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Spectrum [B, 2K, M] of the magnitudes; each bin follows the nearest peak of its frame.

        Phases go on from the last frame of past [B, 2K, P] where `known` is 1.
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
        phase = phase - known * phase[:, self.past - 1 : self.past]
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

        Unless each has phases of its own, all channels get those of their common magnitude: what
        was in the middle stays there. past [C or 1, 2K, P]: the spectrum that the window before
        found for these frames, zeros where there is none. The second result is this window's,
        [C or 1, 2K, M].
        """
        common = magnitude
        if not self.own_phases:
            common = magnitude.square().mean(dim=0, keepdim=True).sqrt()
        known = (past.abs().sum() > 0).to(common.dtype)
        samples = magnitude.shape[2] * self.hop
        kernel = self.kernel()

        def held(spectrum: torch.Tensor) -> torch.Tensor:
            first = known * past + (1 - known) * spectrum[..., : self.past]
            return torch.cat([first, spectrum[..., self.past :]], dim=2)

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


def crossover(front_end: FrontEnd, index: int) -> np.ndarray:
    """How much of each bin of a range is heard, 0 to 1: neighbours sum to 1."""
    each, borders = front_end[index], crossovers(front_end)
    frequency = np.array(each.bins) * SAMPLE_RATE / each.window

    def rise(border: float) -> np.ndarray:
        return np.clip((frequency - border + CROSSFADE_HZ) / (2 * CROSSFADE_HZ), 0, 1)

    heard = np.ones(len(frequency))
    if index > 0:
        heard *= rise(borders[index - 1])
    if index < len(borders):
        heard *= 1 - rise(borders[index])
    return heard


class PseudoInverse(nn.Module):
    """Magnitudes of every path by its bands' pseudo-inverse, negative values cut."""

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        for each in front_end:
            # The lowest bands are closer than the bins: what they cannot tell apart stays out.
            inverse = np.linalg.pinv(each.matrix, rcond=1e-2)[list(each.bins)]
            self.register_buffer(each.name, torch.tensor(inverse, dtype=torch.float32))

    def forward(self, mel: torch.Tensor) -> list[torch.Tensor]:
        """[B, 128, M] to [B, K, M · values a frame] of each range."""
        rows = torch.exp(mel)
        found: list[torch.Tensor] = []
        row = 0
        for each in self.front_end:
            bands = rows[:, row : row + each.rows]
            bands = interleaved(bands, each)
            found.append(F.relu(getattr(self, each.name) @ bands) + 1e-7)
            row += each.rows
        return found


def interleaved(rows: torch.Tensor, each: Range) -> torch.Tensor:
    """[B, values a frame · N, M] to [B, N, M · values a frame]: what stood below goes behind."""
    if each.per_frame == 1:
        return rows
    parts = rows.unflatten(1, (each.per_frame, -1))
    return parts.permute(0, 2, 3, 1).flatten(2)


def stacked(frames: torch.Tensor, each: Range) -> torch.Tensor:
    """The inverse of `interleaved`."""
    if each.per_frame == 1:
        return frames
    parts = frames.unflatten(2, (-1, each.per_frame))
    return parts.permute(0, 3, 1, 2).flatten(1, 2)


class Sharpener(nn.Module):
    """Learns what the bank's triangles blurred: a correction to the pseudo-inverse's logarithm."""

    def __init__(self, front_end: FrontEnd = SECOND, width: int = 256, blocks: int = 4) -> None:
        super().__init__()
        self.front_end = front_end
        self.inverse = PseudoInverse(front_end)
        self.enter = nn.Conv1d(BANDS, width, 5, padding=2)
        self.mix = nn.ModuleList(
            nn.Conv1d(width, width, 7, padding=3, groups=width) for _ in range(blocks)
        )
        self.rise = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(blocks))
        self.fall = nn.ModuleList(nn.Conv1d(2 * width, width, 1) for _ in range(blocks))
        for each in front_end:
            head = nn.Conv1d(width, len(each.bins) * each.per_frame, 1)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
            self.add_module(each.name, head)

    def forward(self, mel: torch.Tensor) -> list[torch.Tensor]:
        """Magnitudes [B, K, M · values a frame] of each range from log rows [B, 128, M]."""
        inverted = self.inverse(mel)
        x = self.enter((mel + 6) / 3)
        for mix, rise, fall in zip(self.mix, self.rise, self.fall, strict=True):
            x = x + fall(F.gelu(rise(mix(x)), approximate="tanh"))
        return [
            (found + 1e-5) * torch.exp(interleaved(getattr(self, each.name)(x), each))
            for found, each in zip(inverted, self.front_end, strict=True)
        ]


class Vocoder(nn.Module):
    """mel [2, 128, M] (log hybrid spectra, left and right) to waveforms [2, 1, 512 M], 44.1 kHz.

    pasts, and the results beside the waveform, one for each range: see `Path.forward`, the frames
    counted in `HOP`, values of the same frame below each other.
    """

    def __init__(self, magnitudes: Sharpener) -> None:
        super().__init__()
        self.magnitudes = magnitudes
        self.front_end = magnitudes.front_end
        for index, each in enumerate(self.front_end):
            self.add_module(each.name, Path(each, crossover(self.front_end, index)))
        # Windowed sinc that brings the low path back to the full rate.
        decimation = self.front_end[0].decimation
        self.reach = 12 * decimation
        time = np.arange(-self.reach, self.reach + 1) / decimation
        sinc = np.sinc(time) * np.kaiser(len(time), 8.0)
        self.register_buffer("sinc", torch.tensor(sinc, dtype=torch.float32)[None, None])

    def past_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Names and shapes of the inputs after the mel."""
        return {
            f"past_{each.name}": (
                2 if each.own_phases else 1,
                2 * len(each.bins) * each.per_frame,
                PAST_FRAMES,
            )
            for each in self.front_end
        }

    def forward(self, mel: torch.Tensor, *pasts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        samples = mel.shape[2] * HOP
        heard: list[torch.Tensor] = []
        presents: list[torch.Tensor] = []
        for each, magnitude, past in zip(self.front_end, self.magnitudes(mel), pasts, strict=True):
            path = getattr(self, each.name)
            audio, present = path(magnitude, interleaved(past, each))
            if each.decimation > 1:
                audio = F.conv_transpose1d(audio, self.sinc, stride=each.decimation)
                audio = audio[..., self.reach : self.reach + samples]
                audio = F.pad(audio, (0, samples - audio.shape[2]))
            heard.append(audio)
            presents.append(stacked(present, each))
        return sum(heard[1:], heard[0]), *presents
