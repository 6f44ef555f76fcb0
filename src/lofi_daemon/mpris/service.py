"""The two interfaces on the session bus. Imported only where there is one."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from dbus_fast import BusType, DBusError, ErrorType, NameFlag, RequestNameReply, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import (
    DBusBool,
    DBusDouble,
    DBusInt64,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
)
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from lofi_daemon.errors import LofiError
from lofi_daemon.mpris.shown import Shown, loop_of, seeked
from lofi_daemon.player.playback import Playback

log = logging.getLogger(__name__)

PATH = "/org/mpris/MediaPlayer2"
NAME = "org.mpris.MediaPlayer2.lofi"
ERROR = "org.mpris.MediaPlayer2.lofi.Error"
ANSWER_SEC = 5.0

READ = PropertyAccess.READ
DBusStrings = Annotated[list[str], DBusSignature("as")]
DBusFields = Annotated[dict[str, Variant], DBusSignature("a{sv}")]
DBusNothing = Annotated[None, DBusSignature("")]


class Root(ServiceInterface):
    """The player as a program: one without a window."""

    def __init__(self) -> None:
        super().__init__("org.mpris.MediaPlayer2")

    @dbus_method("Raise")
    def raise_window(self) -> DBusNothing:
        """There is none."""

    @dbus_method("Quit")
    def quit(self) -> DBusNothing:
        """The music ends with its editors, not by the desktop."""

    @dbus_property(READ, "CanQuit")
    def can_quit(self) -> DBusBool:
        return False

    @dbus_property(READ, "CanRaise")
    def can_raise(self) -> DBusBool:
        return False

    @dbus_property(READ, "HasTrackList")
    def has_track_list(self) -> DBusBool:
        return False

    @dbus_property(READ, "Identity")
    def identity(self) -> DBusStr:
        return "lofi"

    @dbus_property(READ, "SupportedUriSchemes")
    def supported_uri_schemes(self) -> DBusStrings:
        return []

    @dbus_property(READ, "SupportedMimeTypes")
    def supported_mime_types(self) -> DBusStrings:
        return []


class Controls(ServiceInterface):
    """What plays, and what may be done about it. `moment` is how the desktop knows it."""

    def __init__(self, playback: Playback, moment: Shown) -> None:
        super().__init__("org.mpris.MediaPlayer2.Player")
        self._playback = playback
        self._moment = moment
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, moment: Shown) -> None:
        """Tell the desktop what is another than before."""
        before, self._moment = self._moment, moment
        was, now = _properties(before), _properties(moment)
        changed = {name: value for name, value in now.items() if value != was[name]}
        if changed:
            self.emit_properties_changed(changed)
        if seeked(before, moment):
            self.seeked(moment.position_usec)

    # -- what the desktop may do ---------------------------------------------------------------

    @dbus_method("Play")
    async def play(self) -> DBusNothing:
        await _answered(self._playback.play())

    @dbus_method("Pause")
    async def pause(self) -> DBusNothing:
        await _answered(self._playback.pause())

    @dbus_method("PlayPause")
    async def play_pause(self) -> DBusNothing:
        playback = self._playback
        playing = playback.table.state == "playing"
        await _answered(playback.pause() if playing else playback.play())

    @dbus_method("Stop")
    async def stop(self) -> DBusNothing:
        await _answered(self._playback.stop())

    @dbus_method("Next")
    async def next_track(self) -> DBusNothing:
        await _answered(self._playback.skip())

    @dbus_method("Previous")
    async def previous(self) -> DBusNothing:
        if self._moment.can_go_previous:
            await _answered(self._playback.previous())

    @dbus_method("Seek")
    async def seek(self, Offset: DBusInt64) -> DBusNothing:  # noqa: N803 - MPRIS's name
        moment = self._moment
        if not moment.plays:
            return
        position = moment.position(time.monotonic()) + Offset
        if 0 < moment.length_usec < position:
            await _answered(self._playback.skip())
        else:
            await _answered(self._playback.seek(max(0, position) / 1e6))

    @dbus_method("SetPosition")
    async def set_position(
        self,
        TrackId: DBusObjectPath,  # noqa: N803
        Position: DBusInt64,  # noqa: N803
    ) -> DBusNothing:
        moment = self._moment  # of another track, or outside this one: stale, and nothing is done
        if moment.plays and TrackId == moment.track and 0 <= Position <= moment.length_usec:
            await _answered(self._playback.seek(Position / 1e6))

    @dbus_method("OpenUri")
    def open_uri(self, Uri: DBusStr) -> DBusNothing:  # noqa: N803
        raise DBusError(ErrorType.NOT_SUPPORTED, "lofi plays what it makes")

    @dbus_signal("Seeked")
    def seeked(self, position: int) -> DBusInt64:
        return position

    # -- what the desktop sees -----------------------------------------------------------------

    @dbus_property(READ, "PlaybackStatus")
    def playback_status(self) -> DBusStr:
        return self._moment.status

    @dbus_property(READ, "Metadata")
    def metadata(self) -> DBusFields:
        return _metadata(self._moment)

    @dbus_property(READ, "Position")
    def position(self) -> DBusInt64:
        return self._moment.position(time.monotonic())

    @dbus_property(PropertyAccess.READWRITE, "Volume")
    def volume(self) -> DBusDouble:
        return self._moment.volume

    @volume.setter
    def set_volume(self, Volume: DBusDouble) -> None:  # noqa: N803
        volume = min(max(Volume, 0.0), 1.0)  # NaN becomes 0
        self._soon(self._playback.turntable.set_volume(volume))
        if volume > 0.0 and self._playback.table.muted:
            self._soon(self._playback.turntable.set_muted(False))

    @dbus_property(PropertyAccess.READWRITE, "LoopStatus")
    def loop_status(self) -> DBusStr:
        return self._moment.loop

    @loop_status.setter
    def set_loop_status(self, LoopStatus: DBusStr) -> None:  # noqa: N803
        loop = loop_of(LoopStatus)
        if loop is None:
            raise DBusError(ErrorType.INVALID_ARGS, "LoopStatus is None, Track or Playlist")
        self._soon(self._playback.set_loop(loop))

    @dbus_property(PropertyAccess.READWRITE, "Rate")
    def rate(self) -> DBusDouble:
        return 1.0

    @rate.setter
    def set_rate(self, Rate: DBusDouble) -> None:  # noqa: N803
        """There is one speed only, as MinimumRate and MaximumRate say."""

    @dbus_property(READ, "MinimumRate")
    def minimum_rate(self) -> DBusDouble:
        return 1.0

    @dbus_property(READ, "MaximumRate")
    def maximum_rate(self) -> DBusDouble:
        return 1.0

    @dbus_property(READ, "CanGoNext")
    def can_go_next(self) -> DBusBool:
        return self._moment.plays

    @dbus_property(READ, "CanGoPrevious")
    def can_go_previous(self) -> DBusBool:
        return self._moment.can_go_previous

    @dbus_property(READ, "CanPlay")
    def can_play(self) -> DBusBool:
        return True

    @dbus_property(READ, "CanPause")
    def can_pause(self) -> DBusBool:
        return self._moment.plays

    @dbus_property(READ, "CanSeek")
    def can_seek(self) -> DBusBool:
        return self._moment.plays

    @dbus_property(READ, "CanControl")
    def can_control(self) -> DBusBool:
        return True

    def _soon(self, work: Awaitable[None]) -> None:
        """Properties are set without waiting; what goes wrong then is in the log."""

        async def guarded() -> None:
            try:
                await work
            except LofiError as error:
                log.warning("%s", error.message)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _properties(moment: Shown) -> dict[str, Any]:
    """All that the desktop is told of when it changes; it counts the position itself."""
    return {
        "PlaybackStatus": moment.status,
        "LoopStatus": moment.loop,
        "Volume": moment.volume,
        "Metadata": _metadata(moment),
        "CanGoNext": moment.plays,
        "CanGoPrevious": moment.can_go_previous,
        "CanPause": moment.plays,
        "CanSeek": moment.plays,
    }


def _metadata(moment: Shown) -> dict[str, Variant]:
    fields = {"mpris:trackid": Variant("o", moment.track)}
    if moment.plays:
        fields["xesam:title"] = Variant("s", moment.title)
        if moment.length_usec:
            fields["mpris:length"] = Variant("x", moment.length_usec)
    return fields


async def _answered(work: Awaitable[None]) -> None:
    try:
        await work
    except LofiError as error:
        raise DBusError(ERROR, error.message) from error


async def connect() -> MessageBus:
    """A connection to the session bus. Raises whatever the library does where there is none."""
    return await asyncio.wait_for(MessageBus(bus_type=BusType.SESSION).connect(), ANSWER_SEC)


async def serve(bus: MessageBus, controls: Controls, on_served: Callable[[], None]) -> None:
    """Answer on the bus, under a name that no other player has, until the connection ends."""
    bus.export(PATH, Root())
    bus.export(PATH, controls)
    for name in (NAME, f"{NAME}.instance{os.getpid()}"):
        reply = await asyncio.wait_for(bus.request_name(name, NameFlag.DO_NOT_QUEUE), ANSWER_SEC)
        if reply is RequestNameReply.PRIMARY_OWNER:
            break
    on_served()
    await bus.wait_for_disconnect()
