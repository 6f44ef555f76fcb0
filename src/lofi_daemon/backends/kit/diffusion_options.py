"""The options of a model that makes music by diffusion with guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lofi_daemon.errors import (
    InvalidGuidanceScale,
    InvalidInferenceSteps,
    InvalidScheduler,
    LofiError,
)
from lofi_daemon.parameters import Options

CfgType = Literal["apg", "cfg", "cfg_star"]
SchedulerName = Literal["euler", "heun", "pingpong", "adams"]
Quality = Literal["fast", "normal", "reference"]


class DiffusionOptions(Options):
    """None means: what the model's files or the configuration say."""

    errors: ClassVar[Mapping[str, type[LofiError]]] = {
        "inference_steps": InvalidInferenceSteps,
        "scheduler": InvalidScheduler,
        "guidance_scale": InvalidGuidanceScale,
    }

    quality: Quality | None = Field(
        default=None,
        description="fast, normal or reference (as the original, slowest): the steps and the "
        "solver, where they are not given themselves.",
    )
    inference_steps: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Diffusion steps (model calls, for adams), 1 to 200: more is slower and "
        "better.",
        json_schema_extra={"flag": "steps"},
    )
    scheduler: SchedulerName | None = Field(
        default=None,
        description="Solver of the diffusion: euler, heun (twice the work a step), pingpong, or "
        "adams, which needs the fewest model calls.",
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=1.0,
        le=30.0,
        description="How closely to follow the prompt, 1.0 to 30.0.",
        json_schema_extra={"flag": "guidance"},
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

    @property
    def expected_steps(self) -> int:
        return self.inference_steps or 0
