"""How far a solver's latents are from the flow's own end: the bundled model, many prompts.

    python -m benchmarks.solver_error [--rule reference|demo] [--cases N] [--output FILE]

The target is a fourth-order Runge–Kutta run of about 250 model calls with nodes on the borders of
the guided part, from the same noise. The error is the norm of the difference over the norm of the
target. The rule `reference` is that of the full model (APG 15 in the middle half, mean shift 10),
`demo` that of the bundled one (CFG 3 all the way).
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lofi_daemon.backends.demo.backend import compose_score
from lofi_daemon.backends.demo.files import BUNDLE
from lofi_daemon.backends.kit.mel_diffusion.guidance import (
    Guidance,
    guided_parts,
)
from lofi_daemon.backends.kit.mel_diffusion.latents import frames_for, latents_shape
from lofi_daemon.backends.kit.mel_diffusion.pipeline import AceStepPipeline
from lofi_daemon.backends.kit.mel_diffusion.requests import Diffusion
from lofi_daemon.backends.kit.mel_diffusion.runs import SOLVERS
from lofi_daemon.backends.kit.mel_diffusion.schedule import TRAINING_TIMESTEPS, shift
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents, VelocityParts, mean_shift_factor
from lofi_daemon.backends.kit.mel_diffusion.transformer import ContextPair
from lofi_daemon.backends.kit.noise import gaussian_noise
from lofi_daemon.backends.kit.watch import ignore_progress
from lofi_daemon.backends.protocol import GenerationRequest
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import SessionSettings

PROMPTS = (
    "rainy night, rhodes",
    "upbeat morning, guitar",
    "slow piano, vinyl crackle",
    "dreamy pads and soft drums",
    "jazzy guitar with upright bass",
    "melancholy strings, no drums",
    "warm vibraphone, brushed drums",
    "lofi beats to study to",
)
SEEDS = (1, 2)
SECONDS = 10.0
NEVER = CancelToken()
# (scheduler, steps), steps of adams being model calls.
RUNS = {
    "reference": [("euler", 60), ("euler", 27), ("euler", 20), ("adams", 12), ("adams", 16),
                  ("adams", 20), ("adams", 25), ("adams", 30)],
    "demo": [("euler", 16), ("euler", 27), ("adams", 10), ("adams", 12), ("adams", 14),
             ("adams", 16), ("adams", 20)],
}  # fmt: skip
GUIDANCE = {
    "reference": Guidance(15.0, "apg", interval=0.5),
    "demo": Guidance(3.0, "cfg", interval=1.0),
}
OMEGA = {"reference": 10.0, "demo": 0.0}
# Steps of the target before, inside and after the guided part; four evaluations each.
TARGET_STEPS = {"reference": (12, 16, 18), "demo": (0, 36, 0)}


@dataclass(frozen=True)
class Case:
    """One prompt and seed, ready for any solver."""

    name: str
    contexts: ContextPair
    noise: Latents


def load(rule: str) -> AceStepPipeline:
    """The bundled model, its mean shift as the rule has it."""
    pipeline = AceStepPipeline(BUNDLE, SessionSettings(threads=1), compose=compose_score)
    defaults = pipeline.manifest.defaults.model_copy(update={"omega": OMEGA[rule]})
    pipeline.manifest = pipeline.manifest.model_copy(update={"defaults": defaults})
    return pipeline


def case_of(pipeline: AceStepPipeline, prompt: str, seed: int, seconds: float = SECONDS) -> Case:
    """Contexts and noise of a request."""
    request = GenerationRequest(prompt, seconds, seed)
    contexts = pipeline.encode(request, ignore_progress, NEVER, erg=False)
    return Case(
        f"{prompt} {seed}", contexts, gaussian_noise(seed, 0, latents_shape(frames_for(seconds)))
    )


def run(
    pipeline: AceStepPipeline, case: Case, scheduler: str, steps: int, guidance: Guidance
) -> Latents:
    """The latents of a case, as the daemon makes them."""
    diffusion = Diffusion(steps, scheduler, guidance, erg=False)
    return pipeline.diffuse(diffusion, 0, case.contexts, case.noise, ignore_progress, NEVER)


def target_of(pipeline: AceStepPipeline, case: Case, rule: str) -> Latents:
    """Where the flow leads: Runge–Kutta inside each part of the run, where it is smooth."""
    guidance = GUIDANCE[rule]

    def conditional(latents: Latents, timestep: np.float32) -> Latents:
        return pipeline.transformer.conditional(latents, timestep, case.contexts, NEVER)

    def both(latents: Latents, timestep: np.float32) -> tuple[Latents, Latents]:
        return pipeline.transformer.both(latents, timestep, case.contexts, NEVER)

    parts = guided_parts(conditional, both, replace(guidance, decay=0.0), range(1))
    half = guidance.interval / 2.0
    borders = (1.0, 0.5 + half, 0.5 - half, 0.0)
    latents = case.noise.astype(np.float64)
    factor = mean_shift_factor(OMEGA[rule])
    for part, count in enumerate(TARGET_STEPS[rule]):
        if count == 0:
            continue
        start, stop = borders[part], borders[part + 1]
        position = np.linspace(0.0, 1.0, count + 1)
        if stop == 0.0:
            position = 1.0 - (1.0 - position) ** 2
        sigmas = shift(start + (stop - start) * position)
        inside = 0 if part == 1 else 1  # the iteration of `parts` that is guided, or not
        for sigma, following in itertools.pairwise(sigmas):
            latents = _runge_kutta(parts, latents, sigma, following, inside, factor)
    return latents.astype(np.float32)


def _runge_kutta(
    parts: VelocityParts,
    latents: np.ndarray,
    sigma: float,
    following: float,
    iteration: int,
    factor: float,
) -> np.ndarray:
    def slope(at: float, where: np.ndarray) -> np.ndarray:
        timestep = np.float32(at * TRAINING_TIMESTEPS)
        conditional, added = parts(where.astype(np.float32), timestep, iteration)
        found = (conditional if added is None else conditional + added).astype(np.float64)
        mean = found.mean()
        return (found - mean) * factor + mean

    step = following - sigma
    first = slope(sigma, latents)
    if following == 0.0:
        middle = slope(sigma + step / 2, latents + step / 2 * first)
        return latents + step * middle
    second = slope(sigma + step / 2, latents + step / 2 * first)
    third = slope(sigma + step / 2, latents + step / 2 * second)
    fourth = slope(following, latents + step * third)
    return latents + step / 6 * (first + 2 * second + 2 * third + fourth)


def error(latents: Latents, target: Latents) -> float:
    """Relative distance."""
    return float(np.linalg.norm(latents - target) / np.linalg.norm(target))


def measure(rule: str, cases: int) -> dict[tuple[str, int], list[float]]:
    """The errors of every run of the rule, a figure a case."""
    pipeline, guidance = load(rule), GUIDANCE[rule]
    found: dict[tuple[str, int], list[float]] = {each: [] for each in RUNS[rule]}
    wanted = [(prompt, seed) for seed in SEEDS for prompt in PROMPTS][:cases]
    for prompt, seed in wanted:
        case = case_of(pipeline, prompt, seed)
        target = target_of(pipeline, case, rule)
        for scheduler, steps in RUNS[rule]:
            latents = run(pipeline, case, scheduler, steps, guidance)
            found[scheduler, steps].append(error(latents, target))
        shown = "  ".join(f"{found[each][-1]:.3f}" for each in RUNS[rule])
        print(f"{case.name:<36} {shown}", flush=True)
    return found


def table(rule: str, found: dict[tuple[str, int], list[float]]) -> str:
    """A line a run."""
    lines = [f"{'solver':<10} {'steps':>5} {'calls':>5} {'mean':>6} {'median':>6} {'worst':>6}"]
    for (scheduler, steps), errors in found.items():
        calls = SOLVERS[scheduler].calls_after(steps, GUIDANCE[rule])[-1]
        lines.append(
            f"{scheduler:<10} {steps:>5} {calls:>5} {np.mean(errors):>6.3f} "
            f"{np.median(errors):>6.3f} {max(errors):>6.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rule", choices=[*RUNS], default="reference")
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text = table(options.rule, measure(options.rule, options.cases))
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
