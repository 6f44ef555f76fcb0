"""Where the sound goes: a sound device through miniaudio, a file, or nowhere.

A device pulls blocks with `render` from a thread of its own. It keeps only 80 ms of them, so that a
pause or a new volume is heard at once; the seconds of reserve against a busy machine are the
decoded tracks in front of it (see `source`).

Besides the system's devices there are two by name, for machines without sound: `null` plays in
real time to nobody, `file:/path/to.wav` records in real time what would have been heard, into a
new file.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lofi_daemon.errors import AudioDeviceError
from lofi_daemon.player.mixer import CHANNELS, Block
from lofi_daemon.text import shown

log = logging.getLogger(__name__)

Render = Callable[[int], Block]

BUFFER_MS = 80
SIMULATED_PERIOD_MS = 20
SIMULATED_RATE = 44100
STALL_SEC = 1.0
# a sink that was idle may take its time for the first pulls
FIRST_STALL_SEC = 2.5
FIRST_PULLS = 10
NULL = "null"
FILE_PREFIX = "file:"
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class DeviceInfo:
    name: str
    is_default: bool


class Device(Protocol):
    """Silent until `start`. `lost` turns true when the device stops asking for sound on its own."""

    name: str | None
    sample_rate: int

    def start(self, render: Render) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...

    @property
    def lost(self) -> bool: ...


def open_device(name: str | None, *, again: bool = False) -> Device:
    """Open a device by name, None being the system's default.

    `again` is for a player that goes on in the place of one that died: what is recorded then goes
    into a second file. Raises AudioDeviceError when there is no such device or it cannot be used.
    """
    if name == NULL:
        return SimulatedDevice(NULL, None)
    if name is not None and name.startswith(FILE_PREFIX):
        path = Path(name.removeprefix(FILE_PREFIX))
        if again:
            path = _free_name(path)
        return SimulatedDevice(name, Recording(path, SIMULATED_RATE))
    return SoundDevice(name)


def list_devices() -> list[DeviceInfo]:
    """The system's playback devices; empty when there is none."""
    # miniaudio's list begins with the default; ids are opaque, names are what people know
    return [DeviceInfo(name, index == 0) for index, (name, _) in enumerate(_playbacks())]


def _playbacks() -> list[tuple[str, Any]]:
    """Name and id of every playback device.

    miniaudio keeps 255 bytes of a name, which may end inside a character; its own list then raises
    for all devices together.
    """
    import miniaudio

    ffi, lib = miniaudio.ffi, miniaudio.lib
    infos, count = ffi.new("ma_device_info**"), ffi.new("ma_uint32*")
    try:
        devices: Any = miniaudio.Devices(_backends())
    except miniaudio.MiniaudioError:
        return []
    result = lib.ma_context_get_devices(devices._context, infos, count, ffi.NULL, ffi.NULL)
    if result != lib.MA_SUCCESS:
        return []
    playback = miniaudio.DeviceType.PLAYBACK.value

    def usable(info: Any) -> bool:
        # of ALSA's many plugins most cannot be opened, and one, whose id is a name, plays to nobody
        if devices.backend == "ALSA" and bytes(ffi.buffer(ffi.addressof(info.id), 5)) == b"null\0":
            return False
        identity, room = ffi.addressof(info.id), ffi.addressof(info)
        answer = lib.ma_context_get_device_info(devices._context, playback, identity, room)
        return answer == lib.MA_SUCCESS

    found = [info for info in (infos[0][index] for index in range(count[0])) if usable(info)]
    return [
        (
            ffi.string(info.name).decode("utf-8", errors="replace").rstrip(REPLACEMENT),
            ffi.new("ma_device_id *", info.id),
        )
        for info in found
    ]


def _backends() -> list[Any]:
    """All of the system's ways to sound but miniaudio's own silent one, which never fails."""
    import miniaudio

    silent = {miniaudio.Backend.NULL, miniaudio.Backend.CUSTOM}
    return [backend for backend in miniaudio.Backend if backend not in silent]


class SoundDevice:
    """A sound device of the system, at its own sample rate.

    PulseAudio, ALSA or JACK on Linux, CoreAudio on macOS, WASAPI on Windows.
    """

    def __init__(self, name: str | None) -> None:
        import miniaudio

        self.name = name
        self._last_pull, self._pulls = time.monotonic(), 0
        self._started = False
        self._stopped_by_system = False
        try:
            # miniaudio's own annotations are too narrow (a callback, an array, an inner struct)
            self._device: Any = _playback_device_class()(
                output_format=miniaudio.SampleFormat.FLOAT32,
                nchannels=CHANNELS,
                sample_rate=0,
                buffersize_msec=BUFFER_MS,
                device_id=_find_device(name) if name is not None else None,
                backends=_backends(),
                app_name="lofi",
            )
        except miniaudio.MiniaudioError as error:
            what = f"The sound device {name!r}" if name else "No sound device"
            raise AudioDeviceError(
                f"{what} can be opened: {error}"
                if not name
                else f"{what} cannot be opened: {error}",
                hint="Connect a sound device, or choose one of audio_devices; on a machine without "
                "sound LOFI_AUDIO_DEVICE=null plays to nobody.",
            ) from error
        self._device.stop_callback = self._on_system_stop
        self.sample_rate = int(self._device._device.sampleRate)

    def start(self, render: Render) -> None:
        import miniaudio

        blocks = self._blocks(render)
        next(blocks)
        self._last_pull, self._pulls = time.monotonic(), 0
        self._stopped_by_system = False
        try:
            self._device.start(blocks)
        except miniaudio.MiniaudioError as error:
            raise AudioDeviceError(f"The sound device does not start: {error}") from error
        self._started = True

    def _blocks(self, render: Render) -> Generator[Block, int, None]:
        frames = yield np.zeros((0, CHANNELS), np.float32)
        self._last_pull = time.monotonic()
        # a device that has just been woken may swallow the first milliseconds: give it silence
        frames = yield np.zeros((frames, CHANNELS), np.float32)
        while True:
            self._last_pull = time.monotonic()
            self._pulls += 1
            frames = yield render(frames)

    def _on_system_stop(self) -> None:
        self._stopped_by_system = True

    @property
    def lost(self) -> bool:
        if not self._started:
            return False
        patience = FIRST_STALL_SEC if self._pulls <= FIRST_PULLS else STALL_SEC
        return self._stopped_by_system or time.monotonic() - self._last_pull > patience

    def stop(self) -> None:
        import miniaudio

        self._started = False
        with contextlib.suppress(miniaudio.MiniaudioError):
            self._device.stop()

    def close(self) -> None:
        self._started = False
        self._device.close()


def _playback_device_class() -> Any:
    """miniaudio's device, asked for sound in the small pieces in which the system wants it.

    By default miniaudio gathers them into blocks as long as the whole buffer, which halves the
    reserve. The switch is in its C structure, between `periods` and `dataCallback`, but not among
    the fields that the Python binding names; where the layout is another one, it stays as it is.
    """
    import miniaudio

    class PlaybackDevice(miniaudio.PlaybackDevice):
        def _make_context(
            self,
            backends: Any,
            thread_prio: Any = miniaudio.ThreadPriority.HIGHEST,
            app_name: str = "",
        ) -> Any:
            config, ffi = self._devconfig, miniaudio.ffi
            periods = ffi.offsetof("ma_device_config", "periods")
            if ffi.offsetof("ma_device_config", "dataCallback") == periods + 16:
                ffi.cast("unsigned char *", ffi.addressof(config))[periods + 11] = 1
            return super()._make_context(backends, thread_prio, app_name)

    return PlaybackDevice


def _find_device(name: str) -> Any:
    devices = _playbacks()
    for known, identity in devices:
        if known == name:
            return identity
    names = ", ".join(repr(known) for known, _ in devices) or "none at all"
    raise AudioDeviceError(
        f"There is no sound device named {name!r}; there are: {names}",
        hint="Choose one of these names, or null for the system's default.",
    )


class SimulatedDevice:
    """Pulls blocks at the pace of a real device, into a recording or nowhere."""

    def __init__(self, name: str, recording: Recording | None) -> None:
        self.name: str | None = name
        self.sample_rate = SIMULATED_RATE
        self._recording = recording
        self._running = threading.Event()
        self._thread: threading.Thread | None = None
        self._broken = False

    def start(self, render: Render) -> None:
        self._running.set()
        self._thread = threading.Thread(target=self._pull, args=(render,), daemon=True)
        self._thread.start()

    def _pull(self, render: Render) -> None:
        frames = self.sample_rate * SIMULATED_PERIOD_MS // 1000
        due = time.monotonic()
        while self._running.is_set():
            block = render(frames)
            if self._recording is not None:
                try:
                    self._recording.write(block)
                except AudioDeviceError as error:
                    log.warning("%s", error.message)
                    self._broken = True
                    return
            due += frames / self.sample_rate
            time.sleep(max(0.0, due - time.monotonic()))

    @property
    def lost(self) -> bool:
        return self._broken

    def stop(self) -> None:
        self._running.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        self.stop()
        if self._recording is not None:
            self._recording.close()


def _free_name(path: Path) -> Path:
    """The path, or the first of its kind with a number that is free: heard.wav, heard-2.wav …"""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not os.path.lexists(name))


class Recording:
    """A new float WAV file. Nothing that is there already is written to or replaced.

    Raises AudioDeviceError.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        import soundfile

        self._path = shown(str(path))
        try:
            path = path.expanduser().absolute()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            what = "a folder" if path.is_dir() else "there already, and is not overwritten"
            raise AudioDeviceError(
                f"The recording {self._path} cannot be made: it is {what}.",
                hint="Choose a name that is free, or remove the file.",
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise self._failed("made", error) from error
        try:
            self._file = soundfile.SoundFile(
                descriptor, "w", sample_rate, CHANNELS, subtype="FLOAT", format="WAV"
            )
        except (soundfile.LibsndfileError, OSError) as error:
            os.close(descriptor)
            raise self._failed("made", error) from error

    def write(self, block: Block) -> None:
        import soundfile

        try:
            self._file.write(block)
        except (soundfile.LibsndfileError, OSError, AssertionError) as error:
            raise self._failed("gone on with", error) from error

    def close(self) -> None:
        import soundfile

        try:
            self._file.close()
        except (soundfile.LibsndfileError, OSError) as error:
            log.warning("%s", self._failed("finished", error).message)

    def _failed(self, what: str, error: Exception) -> AudioDeviceError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return AudioDeviceError(
            f"The recording {self._path} cannot be {what}: {reason or 'the disk may be full'}.",
            hint="Choose a path that can be written, with room on its disk.",
        )
