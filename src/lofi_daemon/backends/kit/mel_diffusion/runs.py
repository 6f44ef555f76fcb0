"""One run through the noise: which schedule and which form of guidance a solver walks along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from lofi_daemon.backends.kit.mel_diffusion.guidance import (
    BothCall,
    ConditionalCall,
    Guidance,
    guided,
    guided_parts,
)
from lofi_daemon.backends.kit.mel_diffusion.schedule import (
    flow_schedule,
    stretches,
    windowed_schedule,
)
from lofi_daemon.backends.kit.mel_diffusion.solvers import (
    AfterStep,
    FreshNoise,
    Latents,
    OnIteration,
    Velocity,
    solve_adams,
    solve_euler,
    solve_heun,
    solve_pingpong,
    unchanged,
)
from lofi_daemon.backends.kit.solver import Solver


@dataclass(frozen=True)
class Run:
    """noise: where it starts. conditional, both: the model, see guidance.py. after_step: what is
    done to the latents after each step."""

    noise: Latents
    steps: int
    guidance: Guidance
    conditional: ConditionalCall
    both: BothCall
    fresh_noise: FreshNoise
    on_iteration: OnIteration
    omega: float
    after_step: AfterStep = unchanged

    @property
    def velocity(self) -> Velocity:
        return guided(self.conditional, self.both, self.guidance, self.steps)


@dataclass(frozen=True)
class MelSolver(Solver[Run, Guidance]):
    """guided(steps, guidance): the evaluations that are guided, and so take two model calls.

    steps_are_calls: what a request counts as steps; otherwise they are evaluations of Euler.
    """

    guided: Callable[[int, Guidance], range]
    steps_are_calls: bool = False

    def calls_after(self, steps: int, guidance: Guidance) -> list[int]:
        """Model calls made once each evaluation is done."""
        window = self.guided(steps, guidance)
        return list(
            accumulate(
                2 if evaluation in window else 1
                for evaluation in range(self.evaluations(steps, guidance))
            )
        )


def _euler(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_euler(
        run.velocity, run.noise, schedule, run.on_iteration, run.omega, run.after_step
    )


def _heun(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_heun(
        run.velocity, run.noise, schedule, run.on_iteration, run.omega, run.after_step
    )


def _pingpong(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_pingpong(
        run.velocity, run.noise, schedule, run.on_iteration, run.fresh_noise, run.after_step
    )


def _adams(run: Run) -> Latents:
    schedule = windowed_schedule(run.steps, run.guidance.guided_share)
    parts = guided_parts(run.conditional, run.both, run.guidance, schedule.guided or range(0))
    return solve_adams(parts, run.noise, schedule, run.on_iteration, run.omega, run.after_step)


def _counted(steps: int, guidance: Guidance) -> range:
    return guidance.guided_iterations(steps)


def _laid_out(steps: int, guidance: Guidance) -> range:
    return stretches(steps, guidance.guided_share).guided


SOLVERS: Mapping[str, MelSolver] = {
    "euler": MelSolver(_euler, lambda steps, guidance: steps, _counted),
    "heun": MelSolver(_heun, lambda steps, guidance: 2 * steps - 1, _counted),
    "pingpong": MelSolver(_pingpong, lambda steps, guidance: steps, _counted),
    "adams": MelSolver(
        _adams,
        lambda calls, guidance: stretches(calls, guidance.guided_share).steps,
        _laid_out,
        steps_are_calls=True,
    ),
}
