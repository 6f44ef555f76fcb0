"""Where the sound goes: a sound device through miniaudio, a file, or nowhere.

A device pulls blocks with `render` from a thread of its own. It keeps only 80 ms of them, so that a
pause or a new volume is heard at once; the seconds of reserve against a busy machine are the
decoded tracks in front of it (see `source`).

Besides the system's devices there are two by name, for machines without sound: `null` plays in
real time to nobody, `file:/path/to.wav` records in real time what would have been heard.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lofi_daemon.errors import AudioDeviceError
from lofi_daemon.player.mixer import CHANNELS, Block

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


def open_device(name: str | None) -> Device:
    """Open a device by name, None being the system's default.

    Raises AudioDeviceError when there is no such device or it cannot be used.
    """
    if name == NULL:
        return SimulatedDevice(NULL, None)
    if name is not None and name.startswith(FILE_PREFIX):
        return SimulatedDevice(name, Path(name.removeprefix(FILE_PREFIX)))
    return SoundDevice(name)


def list_devices() -> list[DeviceInfo]:
    """The system's playback devices; empty when there is none."""
    import miniaudio

    try:
        devices = miniaudio.Devices(_backends()).get_playbacks()
    except miniaudio.MiniaudioError:
        return []
    # miniaudio's list begins with the default; ids are opaque, names are what people know
    return [DeviceInfo(found["name"], index == 0) for index, found in enumerate(devices)]


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
    import miniaudio

    try:
        devices = miniaudio.Devices(_backends()).get_playbacks()
    except miniaudio.MiniaudioError:
        devices = []
    for found in devices:
        if found["name"] == name:
            return found["id"]
    known = ", ".join(repr(found["name"]) for found in devices) or "none at all"
    raise AudioDeviceError(
        f"There is no sound device named {name!r}; there are: {known}",
        hint="Choose one of these names, or null for the system's default.",
    )


class SimulatedDevice:
    """Pulls blocks at the pace of a real device; into a float WAV file, or nowhere."""

    def __init__(self, name: str, path: Path | None) -> None:
        self.name: str | None = name
        self.sample_rate = SIMULATED_RATE
        self._file = _open_recording(path, self.sample_rate) if path is not None else None
        self._running = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, render: Render) -> None:
        self._running.set()
        self._thread = threading.Thread(target=self._pull, args=(render,), daemon=True)
        self._thread.start()

    def _pull(self, render: Render) -> None:
        frames = self.sample_rate * SIMULATED_PERIOD_MS // 1000
        due = time.monotonic()
        while self._running.is_set():
            block = render(frames)
            if self._file is not None:
                self._file.write(block)
            due += frames / self.sample_rate
            time.sleep(max(0.0, due - time.monotonic()))

    @property
    def lost(self) -> bool:
        return False

    def stop(self) -> None:
        self._running.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        self.stop()
        if self._file is not None:
            self._file.close()


def _open_recording(path: Path, sample_rate: int) -> Any:
    import soundfile

    try:
        return soundfile.SoundFile(
            str(path), "w", samplerate=sample_rate, channels=CHANNELS, subtype="FLOAT"
        )
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioDeviceError(
            f"The recording {path} cannot be written: {error}", hint="Choose a writable path."
        ) from error
