"""A real PulseAudio server with a null sink, and an ear on the sink's monitor."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from tests.system import require

PARTS = ("pulseaudio", "pactl", "parec")


def go_first(process_id: int = 0) -> None:
    """The instruments must not be what stutters on a busy machine; where allowed, they go first."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(process_id, os.SCHED_RR, os.sched_param(4))


@dataclass
class PulseServer:
    """`with PulseServer(44100) as server`: a private server with one null sink named lofi_test."""

    sample_rate: int = 44100
    sinks: tuple[str, ...] = ("lofi_test",)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="lofi-pulse-")))
    _server: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder),
            "HOME": str(self.folder),
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder}/native",
        }

    def __enter__(self) -> PulseServer:
        require(*PARTS)
        loads = [
            f"-L module-null-sink sink_name={name} format=float32le channels=2 "
            f"rate={self.sample_rate} sink_properties=device.description={name}"
            for name in self.sinks
        ]
        arguments = [part for load in loads for part in load.split(" ", 1)]
        self._server = subprocess.Popen(
            [
                "pulseaudio", "-n", "--daemonize=no", "--system=false", "--exit-idle-time=-1",
                "--use-pid-file=no", "--disable-shm=yes",
                # as on a desktop, where the sound server goes before ordinary work
                "--high-priority=yes", "--realtime=yes",
                *arguments,
                "-L", f"module-native-protocol-unix socket={self.folder}/native auth-anonymous=1",
            ],
            env={
                **self.environment,
                "PULSE_SERVER": "",
                "PULSE_CONFIG": str(self._configuration()),
            },
            preexec_fn=go_first,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while subprocess.run(
            ["pactl", "info"], env=self.environment, capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, "PulseAudio did not come up"
            time.sleep(0.05)
        # once more, because the server gives up what it was started with
        go_first(self._server.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configuration(self) -> Path:
        """No page of the instrument is fetched from a busy disk while it measures."""
        file = self.folder / "daemon.conf"
        file.write_text("lock-memory = yes\n")
        return file

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def control(self, *arguments: str) -> str:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def unload_sink(self, name: str) -> None:
        for line in self.control("list", "short", "modules").splitlines():
            if f"sink_name={name} " in line:
                self.control("unload-module", line.split("\t")[0])

    def listen(self, sink: str | None = None) -> Recording:
        return Recording(self, sink or self.sinks[0])


class Recording:
    """What comes out of a sink from now on. `stop` gives it as float32 [frames, 2]."""

    def __init__(self, server: PulseServer, sink: str) -> None:
        self.sample_rate = server.sample_rate
        self.path = server.folder / f"recording-{time.monotonic_ns()}.raw"
        self._file = self.path.open("wb")
        self._process = subprocess.Popen(
            [
                "parec", f"--device={sink}.monitor", "--format=float32le", "--channels=2",
                f"--rate={server.sample_rate}", "--latency-msec=10", "--raw",
            ],
            env=server.environment,
            preexec_fn=go_first,
            stdout=self._file,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while self.path.stat().st_size == 0:
            assert time.monotonic() < deadline, "the recorder did not start"
            time.sleep(0.01)

    def so_far(self) -> NDArray[np.float32]:
        data = self.path.read_bytes()
        return np.frombuffer(data[: len(data) // 8 * 8], np.float32).reshape(-1, 2)

    def stop(self) -> NDArray[np.float32]:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(5)
        self._file.close()
        return self.so_far()
