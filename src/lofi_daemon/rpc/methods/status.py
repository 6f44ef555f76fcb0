"""The daemon itself: ping, status, shutdown."""

from __future__ import annotations

import asyncio
from typing import Literal

from lofi_daemon import PROTOCOL_VERSION, __version__
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Explained, Message, NoParameters
from lofi_daemon.rpc.methods.playback import PlayerState, player_state
from lofi_daemon.rpc.methods.radio import RadioState, radio_state
from lofi_daemon.rpc.sharing import Here


class PingResult(Message):
    status: Literal["ok"] = "ok"
    version: str
    protocol: int


class CurrentJob(Message):
    track_id: str
    prompt: str
    percent: int
    phase: str
    eta_sec: float


class WaitingJob(Message):
    track_id: str
    prompt: str
    position: int


class QueueState(Message):
    current: CurrentJob | None
    waiting: list[WaitingJob]


class CacheState(Explained):
    tracks: int
    bytes: int
    max_bytes: int


class StatusResult(Message):
    player: PlayerState
    radio: RadioState | None
    queue: QueueState
    playlist: list[str]
    cache: CacheState


class ShutdownResult(Message):
    status: Literal["shutting_down"] = "shutting_down"


def ping(daemon: Daemon, params: NoParameters) -> PingResult:
    return PingResult(version=__version__, protocol=PROTOCOL_VERSION)


def shutdown(daemon: Daemon, params: NoParameters) -> ShutdownResult:
    daemon.stop()
    return ShutdownResult()


async def status(daemon: Daemon, params: NoParameters) -> StatusResult:
    size = await asyncio.to_thread(daemon.tracks.size)
    music = await _music(daemon)
    return StatusResult(
        player=music.player if music is not None else player_state(daemon),
        radio=music.radio if music is not None else radio_state(daemon),
        queue=_queue_state(daemon),
        playlist=music.playlist if music is not None else list(daemon.playback.playlist.track_ids),
        cache=CacheState(
            tracks=size.tracks,
            bytes=size.bytes,
            max_bytes=daemon.settings.cache_max_bytes,
            error=daemon.tracks.problem,
        ),
    )


async def _music(daemon: Daemon) -> StatusResult | None:
    """The status of the daemon that plays for this one; None where the music plays here."""
    sharing = daemon.sharing
    if sharing is None or sharing.leads:
        return None
    try:
        return StatusResult.model_validate(await sharing.ask("status", {}))
    except Here:
        return None


def _queue_state(daemon: Daemon) -> QueueState:
    current = daemon.jobs.current
    return QueueState(
        current=None
        if current is None
        else CurrentJob(
            track_id=current[0].track_id,
            prompt=current[0].request.prompt,
            percent=current[1].percent,
            phase=current[1].phase.value,
            eta_sec=current[1].eta_sec,
        ),
        waiting=[
            WaitingJob(track_id=job.track_id, prompt=job.request.prompt, position=position)
            for position, job in enumerate(daemon.jobs.waiting, start=1)
        ],
    )


METHODS = [
    Method("ping", NoParameters, PingResult, ping),
    Method("status", NoParameters, StatusResult, status),
    Method("shutdown", NoParameters, ShutdownResult, shutdown),
]
