"""The radio: radio_start, radio_stop, radio_presets."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import SoundParameters, parse
from lofi_daemon.presets import find_preset, load_presets
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import NoParameters
from lofi_daemon.rpc.notifications import Notifier
from lofi_daemon.rpc.playback_messages import (
    RadioPreset,
    RadioPresetsResult,
    RadioResult,
    RadioStartParameters,
    RadioWaitingMessage,
)
from lofi_daemon.station import RadioWaiting


async def radio_start(daemon: Daemon, params: RadioStartParameters) -> RadioResult:
    if params.prompts is not None and params.preset is not None:
        raise InvalidParams("Give either prompts or a preset.", parameters=["preset", "prompts"])
    if params.prompts is not None:
        prompts, preset_name = tuple(params.prompts), None
    else:
        preset = await asyncio.to_thread(find_preset, params.preset)
        prompts, preset_name = preset.prompts, preset.name
    model = daemon.registry.taking_options(SoundParameters)
    sound = parse(model, {name: getattr(params, name) for name in model.model_fields})
    await daemon.station.start(
        prompts,
        order=params.order,
        ahead=params.ahead,
        sound=sound,
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
        "prompts": list(status.prompts),
        "order": status.order,
        "ahead": status.ahead,
        "seed": status.seed,
        "ready": status.ready,
    }


def tell_of_waiting(notifier: Notifier, event: RadioWaiting) -> None:
    notifier.notify("radio_waiting", RadioWaitingMessage(**asdict(event)))


METHODS = [
    Method("radio_start", RadioStartParameters, RadioResult, radio_start),
    Method("radio_stop", NoParameters, RadioResult, radio_stop),
    Method("radio_presets", NoParameters, RadioPresetsResult, radio_presets),
]
