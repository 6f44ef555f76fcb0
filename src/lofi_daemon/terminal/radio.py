"""`lofi-daemon radio [PRESET | "prompt"]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
from dataclasses import replace
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.parameters import SoundParameters, TaskName, parse
from lofi_daemon.radio.presets import Presets, load_presets
from lofi_daemon.rpc.handover import Music, RadioMusic
from lofi_daemon.rpc.methods.status import StatusResult
from lofi_daemon.rpc.sharing import Here
from lofi_daemon.terminal.display import listen
from lofi_daemon.terminal.flags import given_parameters
from lofi_daemon.terminal.listener import Listener
from lofi_daemon.terminal.screen import MakingView, View, clock
from lofi_daemon.text import say

log = logging.getLogger(__name__)

ASK_AGAIN_SEC = 1.0
FROM_WHAT_PLAYS: dict[str, TaskName] = {"v": "variation", "x": "extend"}
OF_THE_LIBRARY = {"kept": "kept tracks", "all": "all tracks"}


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Play a radio until the listener quits; the exit status. Raises LofiError."""
    presets = load_presets()
    if options.list:
        for preset in presets.by_name.values():
            say(f"{preset.name:<20} {preset.description}")
        if presets.problem is not None:
            raise presets.problem
        return 0
    registry = Registry(settings)
    registry.introduce()
    model = registry.taking_options(SoundParameters)
    given = given_parameters(options, model)
    parse(model, given)
    wanted = {**_programme(options, presets), **given, "order": options.order}
    wanted |= {"ahead": options.ahead, "flow": options.flow}
    return asyncio.run(_play_radio(settings, registry, wanted))


def _programme(options: argparse.Namespace, presets: Presets) -> dict[str, Any]:
    """The library, or the preset of that name; any other words are a prompt."""
    if options.library is not None:
        return {"library": options.library}
    if presets.problem is not None:
        log.warning("%s", presets.problem.message)
    preset = presets.find(options.what)
    return {"prompts": [options.what]} if preset is None else {"preset": preset.name}


async def _play_radio(settings: Settings, registry: Registry, wanted: dict[str, Any]) -> int:
    finished = asyncio.Event()
    listener = RadioListener(settings, registry)
    await asyncio.to_thread(listener.serving.daemon.tracks.prepare)
    async with listener.at_home():
        await listener.start(wanted)
        asking = asyncio.get_running_loop().create_task(listener.ask_what_is_made())
        await listen(listener, finished, settings.cache_folder / "radio.log")
        asking.cancel()
    return 0


class RadioListener(Listener):
    """The radio as the screen sees it."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        super().__init__(settings, registry)
        self._seed: int | None = None
        self._waiting: dict[str, Any] | None = None
        self._made_elsewhere: MakingView | None = None
        self._understood: str | None = None

    async def start(self, wanted: dict[str, Any]) -> None:
        """Begin the radio in the place of what plays. Raises LofiError."""
        wanted.setdefault("seed", secrets.randbits(32))
        self._seed = wanted["seed"]
        await self.ask("radio_start", **wanted)

    async def go(self) -> None:
        """End the radio, where it is still the one that was begun here."""
        radio = self.music.radio
        if radio is not None and radio.seed == self._seed:
            await self.ask("radio_stop")
            await self.ask("stop")

    def view(self) -> View:
        music = self.music
        radio = music.radio
        makes = radio is not None and radio.library is None
        view = self.view_of(music, f"lofi radio · {_name(radio)}")
        return replace(
            view,
            kept=view.kept or False,
            ready=len(radio.ready) if radio is not None and makes else None,
            ahead=radio.ahead if radio is not None else 0,
            making=self._making(),
            notice=view.notice or self._wait(music) or self._understood,
        )

    async def pressed(self, key: str) -> None:
        if key == "k":
            await self.keep()
        elif key in FROM_WHAT_PLAYS:
            await self._make_from_what_plays(FROM_WHAT_PLAYS[key])
        elif key == "r":
            loop = "off" if self.music.loop != "off" else "track"
            await self.ask("player_set", loop=loop)
        else:
            await super().pressed(key)

    async def _make_from_what_plays(self, task: TaskName) -> None:
        """Another track from this one, which plays once it is ready. Raises LofiError."""
        track_id, title = self.music.track_id, self.music.prompt
        if track_id is not None:
            await self.ask("generate", task=task, source=track_id, play="ready", priority="high")
            made = "A variation" if task == "variation" else "A longer form"
            self.show_notice(f"{made} of {title} is being made.")

    def heard(self, method: str, params: dict[str, Any]) -> None:
        super().heard(method, params)
        if method == "playback_started":
            self._waiting = None
            self.show_notice(None)
        elif method == "radio_waiting":
            self._waiting = params
        elif method == "radio_fallback":
            self.show_notice(f"{params['backend']} plays: {params['message']}")
        elif method == "generation_complete":
            radio = self.music.radio
            own_words = radio is not None and radio.preset is None
            if own_words and "understood" in params:
                self._understood = params["understood"]["text"]

    async def ask_what_is_made(self) -> None:
        """Know what is being made where the music plays, while that is not here."""
        while True:
            await asyncio.sleep(ASK_AGAIN_SEC)
            current = None
            with contextlib.suppress(LofiError, Here):
                answer = await self.serving.sharing.ask("status", {})
                current = StatusResult.model_validate(answer).queue.current
            self._made_elsewhere = current and MakingView(
                current.prompt, current.percent, current.phase, current.eta_sec
            )

    def _making(self) -> MakingView | None:
        current = self.serving.daemon.jobs.current
        if current is None:
            return self._made_elsewhere
        job, progress = current
        return MakingView(
            job.request.prompt, progress.percent, progress.phase.value, progress.eta_sec
        )

    def _wait(self, music: Music) -> str | None:
        """What is said while nothing new is ready."""
        waiting, radio = self._waiting, music.radio
        if waiting is None or radio is None or radio.ready:
            return None
        eta_sec = waiting["eta_sec"]
        eta = "" if eta_sec is None else f" in about {clock(eta_sec)}"
        if music.track_id is None:
            return f"The first track comes{eta}."
        meanwhile = "; an older one meanwhile" if music.heard_before else ""
        return f"The next new track comes{eta}{meanwhile}."


def _name(radio: RadioMusic | None) -> str:
    if radio is None:
        return "off"
    if radio.library is not None:
        return OF_THE_LIBRARY[radio.library]
    return (radio.preset or "your own") + (", flowing" if radio.flow else "")
