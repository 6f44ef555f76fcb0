"""A radio without seams: each track goes on from the one before it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from lofi_daemon.backends.options import given_options
from lofi_daemon.backends.registry import Registry
from lofi_daemon.errors import InvalidParams, LofiError
from lofi_daemon.jobs.requests import resolve
from lofi_daemon.jobs.tasks import Origin, listed, with_source, without_defaults
from lofi_daemon.parameters import GenerationParameters, SoundParameters, parse
from lofi_daemon.radio.programme import Programme
from lofi_daemon.tracks import TrackCache

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What is asked of jobs; origin: what the track begins with, None for nothing."""

    parameters: GenerationParameters
    origin: Origin | None = None


def raise_unless_it_flows(registry: Registry, programme: Programme, sound: SoundParameters) -> None:
    """Raises InvalidParams where the tracks of a programme cannot go on from each other, and
    InvalidBackend."""
    if programme.library is not None:
        raise InvalidParams(
            "flow: a radio of tracks that are there makes none that goes on from another.",
            hint="Leave flow out, or give prompts or a preset.",
            parameters=["flow"],
        )
    if given_options(sound).get("loop"):
        raise InvalidParams(
            "flow: a track that leads into itself does not lead into another one.",
            hint="Leave flow out, or loop.",
            parameters=["flow", "loop"],
        )
    info = registry.choose(sound.backend).backend.info
    if info.offer("flow") is None:
        able = [each.info.type for each in registry if each.info.offer("flow") is not None]
        others = (
            f", or name a backend that can: {listed(able)}" if able else ": no backend here can"
        )
        where = "" if info.is_here else f" on {info.place}"
        raise InvalidParams(
            f"flow: {info.name}{where} cannot go on from a track.",
            hint=f"Leave flow out{others}.",
            parameters=["flow", "backend"],
        )


async def going_on(
    registry: Registry, tracks: TrackCache, parameters: GenerationParameters, after: str
) -> Wish:
    """The same as a flow of that track; as it is where that one cannot be gone on from.

    A track that is gone cannot, nor one that another model made meanwhile.
    """

    def found() -> Wish:
        chosen = registry.choose(parameters.backend).backend.info.type
        wanted = {**without_defaults(parameters), "backend": chosen}
        flow = parse(type(parameters), {**wanted, "task": "flow", "source": after})
        wish = Wish(*with_source(tracks, flow))
        resolve(registry, wish.parameters, wish.origin)
        return wish

    try:
        return await asyncio.to_thread(found)
    except LofiError as error:
        log.info("The next track begins anew: %s", error.message)
        return Wish(parameters)
