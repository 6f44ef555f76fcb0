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
    Schedule,
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
    """start: the latents that it begins with, those of the noise level of step `first`.
    conditional, both: the model, see guidance.py. after_step: what is done to the latents after
    each step."""

    start: Latents
    steps: int
    guidance: Guidance
    conditional: ConditionalCall
    both: BothCall
    fresh_noise: FreshNoise
    on_iteration: OnIteration
    omega: float
    after_step: AfterStep = unchanged
    first: int = 0

    @property
    def velocity(self) -> Velocity:
        return guided(self.conditional, self.both, self.guidance, self.steps)


@dataclass(frozen=True)
class MelSolver(Solver[Run, Guidance]):
    """schedule(steps, guidance): the levels that it walks along. guided(steps, guidance): the
    evaluations that are guided, and so take two model calls; they are counted as those of a whole
    run, wherever one begins.

    evaluations_a_step: of every step but the last. steps_are_calls: what a request counts as steps;
    otherwise they are evaluations of Euler.
    """

    schedule: Callable[[int, Guidance], Schedule]
    guided: Callable[[int, Guidance], range]
    evaluations_a_step: int = 1
    steps_are_calls: bool = False

    def first_step(self, steps: int, guidance: Guidance, strength: float) -> int:
        """With which step a run begins that makes this share of them, 0 to 1."""
        return int(self.schedule(steps, guidance).steps * (1.0 - strength))

    def calls_after(self, steps: int, guidance: Guidance, first: int = 0) -> list[int]:
        """Model calls made once each evaluation from step `first` on is done."""
        window = self.guided(steps, guidance)
        begin = self.evaluations_a_step * first
        return list(
            accumulate(
                2 if evaluation in window else 1
                for evaluation in range(begin, self.evaluations(steps, guidance))
            )
        )


def _euler(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_euler(
        run.velocity, run.start, schedule, run.on_iteration, run.omega, run.after_step, run.first
    )


def _heun(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_heun(
        run.velocity, run.start, schedule, run.on_iteration, run.omega, run.after_step, run.first
    )


def _pingpong(run: Run) -> Latents:
    schedule = flow_schedule(run.steps)
    return solve_pingpong(
        run.velocity,
        run.start,
        schedule,
        run.on_iteration,
        run.fresh_noise,
        run.after_step,
        run.first,
    )


def _adams(run: Run) -> Latents:
    schedule = _laid_out(run.steps, run.guidance)
    parts = guided_parts(run.conditional, run.both, run.guidance, schedule.guided or range(0))
    return solve_adams(
        parts, run.start, schedule, run.on_iteration, run.omega, run.after_step, run.first
    )


def _even(steps: int, guidance: Guidance) -> Schedule:
    return flow_schedule(steps)


def _laid_out(steps: int, guidance: Guidance) -> Schedule:
    return windowed_schedule(steps, guidance.guided_share)


def _counted(steps: int, guidance: Guidance) -> range:
    return guidance.guided_iterations(steps)


def _shared_out(steps: int, guidance: Guidance) -> range:
    return stretches(steps, guidance.guided_share).guided


SOLVERS: Mapping[str, MelSolver] = {
    "euler": MelSolver(_euler, lambda steps, guidance: steps, _even, _counted),
    "heun": MelSolver(
        _heun, lambda steps, guidance: 2 * steps - 1, _even, _counted, evaluations_a_step=2
    ),
    "pingpong": MelSolver(_pingpong, lambda steps, guidance: steps, _even, _counted),
    "adams": MelSolver(
        _adams,
        lambda calls, guidance: stretches(calls, guidance.guided_share).steps,
        _laid_out,
        _shared_out,
        steps_are_calls=True,
    ),
}
