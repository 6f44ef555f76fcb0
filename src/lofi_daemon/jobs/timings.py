"""How long the phases of a job take on this machine, remembered between runs."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.files.documents import read_document
from lofi_daemon.files.private import mend_file_mode, mode_of_files, private_folder
from lofi_daemon.files.temporary import replace_file, sweep

log = logging.getLogger(__name__)

REMEMBERED = 16
# Neither work nor seconds beyond these are what a job on any machine can have shown.
LEAST, MOST = 1e-9, 1e9
_RECENCY = 0.8  # an observation counts this much less with every newer one
_SAME_SIZE = 0.02  # squared log ratio of workloads below which sizes count as the same
# Loading and writing depend on the disk; they tell nothing about the speed of computing.
COMPUTING = frozenset({Phase.ENCODING, Phase.DIFFUSING, Phase.DECODING_TOKENS, Phase.DECODING})


@dataclass(frozen=True)
class Forecast:
    """Expected seconds of a phase, and whether they rest on measurements of that phase."""

    seconds: float
    learnt: bool


class Timings:
    """Observed (workload, seconds) pairs by backend, model version and phase.

    The rate (seconds ÷ workload) for a new job is the weighted geometric mean of the observed
    rates: recent ones and those of jobs of like size count most, so that fixed costs and
    costs that grow faster than linearly are met without a model of them.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        if file is not None:
            _tidy(file)
        self._observations = _read(file) if file is not None else {}

    def forecast(
        self, backend: str, model_version: str | None, workload: Mapping[Phase, float]
    ) -> dict[Phase, Forecast]:
        """Expected seconds of every phase of the workload, in the order of phases."""
        with self._lock:
            observed = {
                phase: self._observations.get(_key(backend, model_version, phase), [])
                for phase in Phase
            }
        speeds = [_rate(pairs, None) for phase, pairs in observed.items() if phase in COMPUTING]
        known = [speed for speed in speeds if speed is not None]
        machine = math.exp(sum(map(math.log, known)) / len(known)) if known else 1.0
        forecasts: dict[Phase, Forecast] = {}
        for phase in Phase:
            work = workload.get(phase, 0.0)
            if work > 0.0:
                rate = _rate(observed[phase], work)
                guess = machine if phase in COMPUTING else 1.0
                forecasts[phase] = Forecast(work * (rate or guess), rate is not None)
        return forecasts

    def learn(
        self,
        backend: str,
        model_version: str | None,
        workload: Mapping[Phase, float],
        measured: Mapping[Phase, float],
    ) -> None:
        """Remember the seconds of phases that ran to their end."""
        with self._lock:
            for phase, seconds in measured.items():
                work = workload.get(phase, 0.0)
                if _sane(work) and _sane(seconds):
                    pairs = self._observations.setdefault(_key(backend, model_version, phase), [])
                    pairs.append((work, seconds))
                    del pairs[:-REMEMBERED]
            if self._file is not None:
                _write(self._file, self._observations)


Observations = dict[str, list[tuple[float, float]]]


def _key(backend: str, model_version: str | None, phase: Phase) -> str:
    return f"{backend}/{model_version or ''}/{phase.value}"


def _rate(pairs: list[tuple[float, float]], work: float | None) -> float | None:
    """Seconds per unit of work for a job of that size (of any size when None)."""
    if not pairs:
        return None
    total = weights = 0.0
    for age, (seen_work, seconds) in enumerate(reversed(pairs)):
        distance = 0.0 if work is None else math.log(work / seen_work) ** 2
        weight = _RECENCY**age / (_SAME_SIZE + distance)
        total += weight * math.log(seconds / seen_work)
        weights += weight
    return math.exp(total / weights)


def _read(file: Path) -> Observations:
    """What was remembered; nothing when the file is missing or damaged."""
    try:
        content = read_document(file)
        return {
            str(key): [
                (float(work), float(seconds))
                for work, seconds in pairs[-REMEMBERED:]
                if _sane(work) and _sane(seconds)
            ]
            for key, pairs in cast("dict[str, Any]", content["observations"]).items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("Ignoring the timings in %s: %s", file, error)
        return {}


def _sane(number: float) -> bool:
    return LEAST < number < MOST


def _write(file: Path, observations: Observations) -> None:
    try:
        private_folder(file.parent)
        replace_file(file, json.dumps({"observations": observations}, allow_nan=False).encode())
    except OSError as error:
        log.warning("The timings cannot be written to %s: %s", file, error)


def _tidy(file: Path) -> None:
    """Sweep what killed processes left, also of the version that named it by the process."""
    with suppress(OSError):  # where the folder cannot be used, nothing of ours lies in it
        if not file.parent.is_dir():
            return
        sweep(file.parent, file.name)
        for entry in file.parent.glob(f"{file.name}.*.partial"):
            entry.unlink()
        private_folder(file.parent)
        mend_file_mode(file, mode_of_files(file.parent))
