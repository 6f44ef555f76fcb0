"""What one client is served by: the house, the methods, and the music shared with others."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import LofiError
from lofi_daemon.house import open_house
from lofi_daemon.models.download_processes import DownloadProcesses
from lofi_daemon.mpris.announcement import Announcement
from lofi_daemon.player.events import PlaybackEnded
from lofi_daemon.rpc.daemon import Daemon
from lofi_daemon.rpc.dispatch import Dispatcher
from lofi_daemon.rpc.handover import Music, put_on, taken
from lofi_daemon.rpc.methods import BETWEEN_DAEMONS, METHODS
from lofi_daemon.rpc.methods.backends import tell_of_download
from lofi_daemon.rpc.methods.generation import tell_of_job
from lofi_daemon.rpc.methods.playback import tell_of_playback, tell_what_plays
from lofi_daemon.rpc.methods.radio import tell_of_radio
from lofi_daemon.rpc.notifications import Notifier, Sends
from lofi_daemon.rpc.sharing import Sharing

log = logging.getLogger(__name__)

# Together these leave room in the two seconds that a client waits for the process to end.
STOP_JOBS_SEC = 0.6
STOP_SEC = 1.0


class Serving:
    """Lives in the event loop; `sends` gets the lines for the client."""

    def __init__(self, settings: Settings, registry: Registry, sends: Sends) -> None:
        notifier = Notifier(sends)
        self.daemon = daemon = Daemon(
            **vars(open_house(settings, registry)),
            notifier=notifier,
            downloads=DownloadProcesses(partial(tell_of_download, notifier)),
        )
        playback, station = daemon.playback, daemon.station
        daemon.early.share(daemon.play, daemon.play_early)
        daemon.jobs.subscribe(partial(tell_of_job, notifier))
        self.dispatcher = Dispatcher(daemon, [*METHODS, *BETWEEN_DAEMONS], sends.send)
        self.sharing = daemon.sharing = Sharing(
            settings.tracks_folder,
            notifier,
            carry_out=self.dispatcher.carry_out,
            greet=partial(tell_what_plays, daemon),
            music=partial(taken, playback, station),
            put_on=self._go_on,
        )
        daemon.tracks.protect(self.sharing.protected)
        playback.subscribe(partial(tell_of_playback, self.sharing))
        playback.watch(self.sharing.say_music)
        station.subscribe(partial(tell_of_radio, self.sharing))
        self._announcement = Announcement(playback) if settings.mpris else None

    @property
    def music(self) -> Music:
        """What plays, here or in the daemon that plays for this one."""
        return self.sharing.elsewhere or taken(self.daemon.playback, self.daemon.station)

    async def open(self) -> None:
        """Find out who plays."""
        await self.sharing.join()

    def leave(self) -> None:
        """Take nothing more on; the music is handed over as it is at this moment."""
        self.sharing.leave()
        self.daemon.station.stop()
        self.daemon.jobs.stop_accepting()

    async def close(self) -> None:
        """End the sound and the work here, within `STOP_SEC`; another daemon may go on then."""
        closing = {
            asyncio.ensure_future(each)
            for each in (
                self.daemon.jobs.close(STOP_JOBS_SEC),
                self._fall_silent(),
                self.daemon.downloads.close(),
            )
        }
        ended, _ = await asyncio.wait(closing, timeout=STOP_SEC)
        for each in ended:
            if (defect := each.exception()) is not None:
                log.error("Not all ended well", exc_info=defect)

    async def _fall_silent(self) -> None:
        if self._announcement is not None:
            self._announcement.close()
        try:
            await self.daemon.playback.close()
        finally:
            self.sharing.close()

    async def _go_on(self, music: Music) -> None:
        """Go on with the music of a daemon that has ended; where that cannot be, it ends too."""
        try:
            await put_on(music, self.daemon.playback, self.daemon.station)
        except LofiError as error:
            if music.track_id is not None:
                tell_of_playback(self.sharing, PlaybackEnded(music.track_id, "error", error))
