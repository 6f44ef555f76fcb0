"""A whole track of ACE-Step's first version at its real size, as it was made before and is now.

Run by benchmarks.ace_step, step by step in processes of their own. *Before*: Euler's solver, a
vocoder of convolutions over time, windows of one size, and one call after another. *Now*: adams
in the numbers of calls of the qualities `normal` and `fast`, convolutions over images, both
channels at once, windows no longer than they need to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import clocked, peak_memory
from lofi_daemon.backends.kit.mel_diffusion.bundle import DCAE, VOCODER, Manifest, Qualities
from lofi_daemon.backends.kit.mel_diffusion.guidance import Guidance
from lofi_daemon.backends.kit.mel_diffusion.latents import (
    MEL_FRAMES_PER_LATENT,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
)
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.side_by_side import shared_out, side_by_side
from lofi_daemon.backends.kit.windows import snug_windows, windows
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

Seconds = dict[str, float]
Report = Callable[[str], None]

# The windows that there were, in latent and in mel frames.
DCAE_BEFORE, DCAE_SHARED = 256, 64
VOCODER_BEFORE, VOCODER_SHARED = 1024, 180
BANDS = 128
NEVER = CancelToken()


@dataclass(frozen=True)
class Way:
    """How a track is made: its solver and steps, and which decoder."""

    name: str
    scheduler: str
    steps: int
    decoder: str

    @property
    def calls(self) -> tuple[int, int]:
        """Model calls of one row, and of the pair of rows that a guided step is."""
        solver, guidance = SOLVERS[self.scheduler], Guidance()
        evaluations = solver.evaluations(self.steps, guidance)
        pairs = len(solver.guided(self.steps, guidance))
        return evaluations - pairs, pairs


def ways() -> tuple[Way, ...]:
    now = Qualities()
    return (
        Way("before, as the original", "euler", 60, "before"),
        Way("before, quickly", "euler", 27, "before"),
        Way("now, normal", now.normal.scheduler, now.normal.inference_steps, "now"),
        Way("now, fast", now.fast.scheduler, now.fast.inference_steps, "now"),
    )


def export(folder: Path, report: Report) -> None:
    """The latent decoder and the vocoder, their convolutions as they come and as images."""
    from benchmarks.random_model import export_random_decoders

    for form in ("native", "published"):
        (folder / form).mkdir(parents=True, exist_ok=True)
    export_random_decoders(
        {"native": folder / "native", "published": folder / "published"}, report=report
    )


def measure_decoder(folder: Path, decoder: str, frames: int, threads: int) -> dict[str, Any]:
    """Seconds a latent frame of each graph, and the process's memory at its peak.

    Measured on so many frames: what a call takes grows with them, and so does its memory.
    """
    settings = SessionSettings(threads=threads, arena=False)
    form = "native" if decoder == "now" else "published"
    latents = np.random.default_rng(0).standard_normal((1, 8, 16, frames), dtype=np.float32)
    dcae = OnnxModel(folder / "native" / f"{DCAE}.onnx", settings)
    at_once, shared = shared_out(settings) if decoder == "now" else (1, settings)
    vocoder = OnnxModel(folder / form / f"{VOCODER}.onnx", shared)
    mel = np.full((1, BANDS, MEL_FRAMES_PER_LATENT * frames), -4.0, dtype=np.float32)

    def both_channels(frames: int) -> None:
        def channel(index: int) -> Any:
            return vocoder.run({"mel": mel[..., :frames]}, NEVER)

        list(side_by_side(channel, 2, at_once))

    dcae.run({"latents": latents[..., :4]}, NEVER)
    both_channels(16)
    found: dict[str, Any] = {}
    found["dcae"] = _a_frame(lambda: dcae.run({"latents": latents}, NEVER), frames)
    found["vocoder"] = _a_frame(lambda: both_channels(mel.shape[-1]), frames)
    return {**found, "peak_bytes": peak_memory()}


def _a_frame(call: Callable[[], Any], frames: int) -> Seconds:
    wall, processor = clocked(call)
    return {"wall": wall / frames, "processor": processor / frames}


def decoded_frames(decoder: str, frames: int) -> tuple[float, float]:
    """Latent frames that the DCAE and the vocoder compute for so many: shared ones twice."""
    if decoder == "now":
        facts = Manifest()
        shared = 2 * facts.vocoder.receptive_field_frames
        in_latents = snug_windows(frames, facts.dcae.window_frames, facts.dcae.overlap_frames)
        in_mel = snug_windows(
            MEL_FRAMES_PER_LATENT * frames, facts.vocoder.core_frames + shared, shared
        )
    else:
        in_latents = windows(frames, DCAE_BEFORE, DCAE_SHARED)
        in_mel = windows(MEL_FRAMES_PER_LATENT * frames, VOCODER_BEFORE, VOCODER_SHARED)
    return (
        sum(part.stop - part.start for part in in_latents),
        sum(part.stop - part.start for part in in_mel) / MEL_FRAMES_PER_LATENT,
    )


def table(
    frames: int, precision: str, row: Seconds, pair: Seconds, decoders: dict[str, dict[str, Any]]
) -> str:
    """Diffusion and decoding of every way: measured calls times their number, and measured frames
    times theirs."""
    seconds = frames * SAMPLES_PER_FRAME / SAMPLE_RATE
    lines = [
        f"{seconds:.0f} s of music in {precision}: a call {row['wall']:.2f} s (processor "
        f"{row['processor']:.2f}), of a guided pair {pair['wall']:.2f} s "
        f"({pair['processor']:.2f})",
        f"{'':24} {'':9} {'':5} {'diffusion':>15} {'decoding':>15} {'together':>15} {'× less':>13}",
        f"{'':24} {'solver':9} {'calls':>5} "
        + " ".join([f"{'wall':>7} {'cpu':>7}"] * 3)
        + f" {'wall':>6} {'cpu':>6}",
    ]
    compared: Seconds = {}
    for way in ways():
        rows, pairs = way.calls
        diffusion = {clock: rows * row[clock] + pairs * pair[clock] for clock in row}
        latent, mel = decoded_frames(way.decoder, frames)
        costs = decoders[way.decoder]
        decoding = {
            clock: latent * costs["dcae"][clock] + mel * costs["vocoder"][clock] for clock in row
        }
        whole = {clock: diffusion[clock] + decoding[clock] for clock in diffusion}
        if way.scheduler == "euler":
            compared = whole
        figures = " ".join(
            f"{part['wall']:7.1f} {part['processor']:7.1f}" for part in (diffusion, decoding, whole)
        )
        less = " ".join(f"{compared[clock] / whole[clock]:6.2f}" for clock in whole)
        solver = f"{way.scheduler} {way.steps}"
        lines.append(f"{way.name:24} {solver:9} {rows + 2 * pairs:5} {figures} {less}")
    peaks = ", ".join(
        f"{name} {each['peak_bytes'] / 1e9:.2f} GB" for name, each in decoders.items()
    )
    lines.append(
        f"× less: than Euler in {ways()[1].steps} steps; memory of decoding what was measured: "
        f"{peaks}"
    )
    return "\n".join(lines)
