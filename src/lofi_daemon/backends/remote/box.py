"""The machine that computes: what is known of it, and the connection to it."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lofi_daemon import PROTOCOL_VERSION, __version__
from lofi_daemon.backends.remote.address import Address
from lofi_daemon.backends.remote.description import (
    Description,
    read_description,
    write_description,
)
from lofi_daemon.backends.remote.peer import Lost, Peer
from lofi_daemon.backends.remote.told import ToldBackend, ToldBackends, ToldDevice, ToldPong, told
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import LofiError, ModelLoadFailed

log = logging.getLogger(__name__)

_ROUND_TRIPS = 3


@dataclass(frozen=True)
class Report:
    """What the machine said when it was asked, for people.

    problem: why it said nothing. greeting_sec: from the start of the command to the first answer;
    latency_sec: of a question after that. device: what computes there.
    """

    name: str
    command: str
    problem: str | None = None
    version: str | None = None
    greeting_sec: float | None = None
    latency_sec: float | None = None
    device: str | None = None
    backends: tuple[ToldBackend, ...] = ()


class Box:
    """Shared by the backends that are there; one of them works at a time."""

    def __init__(self, address: Address, file: Path) -> None:
        """file: where what the machine told is remembered."""
        self.address = address
        self._file = file
        self._description = read_description(file, address)
        self._peer: Peer | None = None
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._problem: str | None = None
        # Those that are being made, too.
        self._peers: set[Peer] = set()

    @property
    def name(self) -> str:
        return self.address.name

    @property
    def is_known(self) -> bool:
        """Whether it has ever told what it has."""
        return self._description is not None

    @property
    def problem(self) -> str:
        """Why nothing is known of it."""
        return self._problem or f"{self.name} has not told yet what it has."

    @property
    def is_connected(self) -> bool:
        return self._peer is not None and self._peer.is_open

    def backend(self, kind: str) -> ToldBackend | None:
        """What it told of that backend; None where it told nothing."""
        return None if self._description is None else self._description.backend(kind)

    def connect(self, cancel: CancelToken) -> Peer:
        """The connection there is, else a new one, and what it has now is remembered.

        Raises Lost, Cancelled, ModelLoadFailed where its lofi-daemon is of another kind.
        """
        if self._peer is None or not self._peer.is_open:
            self.disconnect()
            self._peer = self._opened(cancel)[0]
        return self._peer

    def disconnect(self) -> None:
        """End the connection; the daemon at its other end ends, too."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    def leave(self) -> None:
        """End every connection at once; for a process that ends without waiting for its threads."""
        for peer in list(self._peers):
            peer.kill()

    def ask_soon(self) -> None:
        """Ask what it has, in a thread and over a connection of its own, once."""
        with self._lock:
            if self._asking is None:
                self._asking = threading.Thread(target=self.ask, name="remote", daemon=True)
                self._asking.start()

    def ask(self, *, examine: bool = False) -> Report:
        """Ask what it has, and how fast it answers; waits for it.

        examine: also what computes there, for which it loads its libraries.
        """
        cancel = CancelToken()
        try:
            peer, report = self._opened(cancel)
            try:
                return self._examined(peer, report, cancel) if examine else report
            finally:
                peer.close()
        except Lost as lost:
            return self._silent(lost.error)
        except LofiError as error:
            return self._silent(error)

    def _examined(self, peer: Peer, report: Report, cancel: CancelToken) -> Report:
        said = told(ToldDevice, self.name, peer.call("compute_device", {}, cancel))
        return replace(report, device=said.device, problem=said.problem)

    def _silent(self, error: LofiError) -> Report:
        log.info("%s", error.message)
        self._problem = error.message
        return Report(self.name, self.address.written, problem=f"{error.message} {error.hint}")

    def _opened(self, cancel: CancelToken) -> tuple[Peer, Report]:
        began = time.monotonic()
        peer = Peer(self.address)
        self._peers = {each for each in self._peers if each.is_open} | {peer}
        try:
            pong = told(ToldPong, self.name, peer.greet(cancel))
            greeted = time.monotonic()
            if pong.protocol != PROTOCOL_VERSION:
                raise self._other_version(pong)
            for _ in range(_ROUND_TRIPS):
                peer.call("ping", {}, cancel)
            latency = (time.monotonic() - greeted) / _ROUND_TRIPS
            listed = told(ToldBackends, self.name, peer.call("get_backends", {}, cancel))
            usable = [each for each in listed.backends if each.status in ("ready", "loading")]
            if not all(each.terms is not None for each in usable):
                raise self._other_version(pong)
        except (Cancelled, Lost):
            peer.kill()
            raise
        except LofiError:
            peer.close()
            raise
        self._description = Description(
            command=list(self.address.command), version=pong.version, backends=listed.backends
        )
        write_description(self._file, self._description)
        report = Report(
            self.name,
            self.address.written,
            version=pong.version,
            greeting_sec=greeted - began,
            latency_sec=latency,
            backends=tuple(listed.backends),
        )
        return peer, report

    def _other_version(self, pong: ToldPong) -> ModelLoadFailed:
        return ModelLoadFailed(
            f"lofi-daemon on {self.name} is {pong.version}, protocol {pong.protocol}, and cannot "
            f"compute for {__version__}, protocol {PROTOCOL_VERSION}.",
            hint=f"Install the same version on {self.name} and here.",
        )
