"""The radio: radio_start, radio_stop, radio_presets."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict
from typing import Any

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import SoundParameters, parse
from lofi_daemon.presets import find_preset, load_presets
from lofi_daemon.radio import Programme
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import NoParameters
from lofi_daemon.rpc.notifications import Tells
from lofi_daemon.rpc.playback_messages import (
    RadioPreset,
    RadioPresetsResult,
    RadioResult,
    RadioStartParameters,
    RadioWaitingMessage,
)
from lofi_daemon.station import RadioWaiting


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
        Programme(prompts, seed, params.order, params.ahead, params.library),
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


def radio_state(daemon: Daemon) -> dict[str, Any] | None:
    """The radio's settings and how many new tracks are ready."""
    status = daemon.station.status
    if status is None:
        return None
    return {
        **status.sound.model_dump(),
        "preset": status.preset,
        "prompts": list(status.programme.prompts),
        "order": status.programme.order,
        "ahead": status.programme.ahead,
        "seed": status.programme.seed,
        "library": status.programme.library,
        "ready": status.ready,
    }


def tell_of_waiting(notifier: Tells, event: RadioWaiting) -> None:
    notifier.notify("radio_waiting", RadioWaitingMessage(**asdict(event)))


METHODS = [
    Method("radio_start", RadioStartParameters, RadioResult, radio_start, shared=True),
    Method("radio_stop", NoParameters, RadioResult, radio_stop, shared=True),
    Method("radio_presets", NoParameters, RadioPresetsResult, radio_presets),
]
