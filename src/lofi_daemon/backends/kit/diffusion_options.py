"""The options of a model that makes music by diffusion with guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lofi_daemon.errors import (
    InvalidGuidanceScale,
    InvalidInferenceSteps,
    InvalidParams,
    InvalidScheduler,
    LofiError,
)
from lofi_daemon.parameters import MAX_SEED, Options

CfgType = Literal["apg", "cfg", "cfg_star"]
SchedulerName = Literal["euler", "heun", "pingpong", "adams"]
Quality = Literal["fast", "normal", "reference"]


class FlowOptions(Options):
    """What every model takes that goes from noise to music in steps.

    None means: what the model's files or the configuration say.
    """

    errors: ClassVar[Mapping[str, type[LofiError]]] = {
        "inference_steps": InvalidInferenceSteps,
        "scheduler": InvalidScheduler,
        "guidance_scale": InvalidGuidanceScale,
    }

    inference_steps: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Diffusion steps (model calls, for adams), 1 to 200: more is slower and "
        "better.",
        json_schema_extra={"flag": "steps"},
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=1.0,
        le=30.0,
        description="How closely to follow the prompt, 1.0 to 30.0.",
        json_schema_extra={"flag": "guidance"},
    )
    variation: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="How far to go from the seed's track to another one, 0.0 to 1.0.",
    )
    variation_seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Where a variation goes to: 0 to 2^64 - 1. Default: the next seed.",
    )
    loop: bool | None = Field(
        default=None,
        description="A track that ends where it begins: its last seconds lead into its first. Its "
        "length becomes a whole number of bars where the model counts them.",
    )

    @property
    def expected_steps(self) -> int:
        return self.inference_steps or 0

    def varied_to(self, seed: int) -> int:
        """The seed that the track of `seed` is varied to."""
        if self.variation_seed is not None:
            return self.variation_seed
        return 0 if seed == MAX_SEED else seed + 1

    def raise_if_it_loops(self) -> None:
        """For a track that begins with other music: raises InvalidParams."""
        if self.loop:
            raise InvalidParams(
                "loop: only a track that begins with nothing can end where it begins.",
                hint="Leave loop out, or the task.",
                parameters=["loop"],
            )

    def resolved_variation(self, seed: int) -> dict[str, object]:
        """Both options as they are filled in: none of them where nothing is varied."""
        if not self.variation:
            return {"variation": None, "variation_seed": None}
        return {"variation": self.variation, "variation_seed": self.varied_to(seed)}


class DiffusionOptions(FlowOptions):
    """What ACE-Step's first version and the bundled model take."""

    quality: Quality | None = Field(
        default=None,
        description="fast, normal or reference (as the original, slowest): the steps and the "
        "solver, where they are not given themselves.",
    )
    scheduler: SchedulerName | None = Field(
        default=None,
        description="Solver of the diffusion: euler, heun (twice the work a step), pingpong, or "
        "adams, which needs the fewest model calls.",
    )
    cfg_type: CfgType | None = Field(
        default=None,
        description="Form of the guidance: apg, cfg or cfg_star.",
        json_schema_extra={"key": "cfg"},
    )
    erg: bool | None = Field(
        default=None,
        description="Entropy-rectifying guidance. Default: on where the model files can do it.",
    )
