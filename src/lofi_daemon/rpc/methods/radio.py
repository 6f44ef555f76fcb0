"""The radio: radio_start, radio_stop, radio_presets."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict
from typing import Literal

from pydantic import ConfigDict, Field

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import Prompt, SoundParameters, parse
from lofi_daemon.radio.events import RadioEvent, RadioWaiting
from lofi_daemon.radio.presets import find_preset, load_presets
from lofi_daemon.radio.programme import DEFAULT_AHEAD, Library, Programme
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Explained, Message, NoParameters
from lofi_daemon.rpc.notifications import Tells


class RadioStartParameters(SoundParameters):
    """Prompts of one's own, a preset's or tracks of the library; none: the default preset."""

    prompts: list[Prompt] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Prompts of one's own, 1 to 1000.",
    )
    preset: str | None = Field(default=None, description="Name of a preset.")
    library: Library | None = Field(
        default=None,
        description="Make nothing; play the kept tracks, or all that there are.",
    )
    order: Literal["cycle", "shuffle"] = Field(
        default="cycle", description="Prompts one after the other, or shuffled without repeats."
    )
    ahead: int = Field(
        default=DEFAULT_AHEAD, ge=1, le=10, description="New tracks to keep ready, 1 to 10."
    )
    flow: bool = Field(
        default=False,
        description="Each track goes on from the one before it, in its tempo and key where the "
        "model knows them, and is heard without a cross-over.",
    )


class RadioState(Message):
    """The radio as it was started, each backend's options beside the rest; `ready` counts."""

    model_config = ConfigDict(extra="allow")

    prompts: list[str]
    preset: str | None
    library: Library | None
    order: Literal["cycle", "shuffle"]
    ahead: int
    flow: bool
    duration_sec: float
    backend: str | None
    seed: int
    ready: int = Field(description="New tracks that are ready.")


class RadioResult(Message):
    radio: RadioState | None


class RadioPreset(Message):
    name: str
    description: str
    prompts: list[str]


class RadioPresetsResult(Explained):
    presets: list[RadioPreset]


class RadioWaitingMessage(Message):
    ready: int
    eta_sec: float | None
    replaying: str | None


class RadioFallbackMessage(Message):
    """The machine that computes is away, and `backend` makes the radio's tracks meanwhile."""

    backend: str
    code: str
    message: str
    hint: str


async def radio_start(daemon: Daemon, params: RadioStartParameters) -> RadioResult:
    chosen = [
        name for name in ("prompts", "preset", "library") if getattr(params, name) is not None
    ]
    if len(chosen) > 1:
        raise InvalidParams(f"Give either {' or '.join(chosen)}.", parameters=sorted(chosen))
    preset_name: str | None = None
    prompts: tuple[str, ...] = tuple(params.prompts or ())
    if params.prompts is None and params.library is None:
        preset = await asyncio.to_thread(find_preset, params.preset)
        prompts, preset_name = preset.prompts, preset.name
    model = daemon.registry.taking_options(SoundParameters)
    sound = parse(model, {name: getattr(params, name) for name in model.model_fields})
    seed = secrets.randbits(32) if params.seed is None else params.seed
    await daemon.station.start(
        Programme(prompts, seed, params.order, params.ahead, params.library, params.flow),
        sound,
        preset=preset_name,
    )
    return RadioResult(radio=radio_state(daemon))


def radio_stop(daemon: Daemon, params: NoParameters) -> RadioResult:
    daemon.station.stop()
    return RadioResult(radio=None)


async def radio_presets(daemon: Daemon, params: NoParameters) -> RadioPresetsResult:
    presets = await asyncio.to_thread(load_presets)
    return RadioPresetsResult(
        presets=[RadioPreset(**preset.as_result()) for preset in presets.by_name.values()],
        error=presets.problem.message if presets.problem is not None else None,
    )


def radio_state(daemon: Daemon) -> RadioState | None:
    """The radio's settings and how many new tracks are ready."""
    status = daemon.station.status
    if status is None:
        return None
    programme = status.programme
    sound = status.sound.model_dump()
    return RadioState(
        **{name: value for name, value in sound.items() if name != "seed"},
        preset=status.preset,
        prompts=list(programme.prompts),
        order=programme.order,
        ahead=programme.ahead,
        flow=programme.flow,
        seed=programme.seed,
        library=programme.library,
        ready=status.ready,
    )


def tell_of_radio(notifier: Tells, event: RadioEvent) -> None:
    if isinstance(event, RadioWaiting):
        notifier.notify("radio_waiting", RadioWaitingMessage(**asdict(event)))
        return
    error = event.error
    told = RadioFallbackMessage(
        backend=event.backend, code=error.name, message=error.message, hint=error.hint
    )
    notifier.notify("radio_fallback", told)


METHODS = [
    Method("radio_start", RadioStartParameters, RadioResult, radio_start, shared=True, models=True),
    Method("radio_stop", NoParameters, RadioResult, radio_stop, shared=True),
    Method("radio_presets", NoParameters, RadioPresetsResult, radio_presets),
]
NOTIFICATIONS: dict[str, type[Message]] = {
    "radio_waiting": RadioWaitingMessage,
    "radio_fallback": RadioFallbackMessage,
}
