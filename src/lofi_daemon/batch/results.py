"""What a batch says of itself in its folder: a line a song as it is done, and the whole at the end.

`results.jsonl` is begun anew by every run and holds every song of the file once when the run is
over; `failed.jsonl` has the lines of the file that failed, as they were, so that it can be given to
a batch again once they are mended.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from lofi_daemon import __version__
from lofi_daemon.files.temporary import replace_file

RESULTS = "results.jsonl"
FAILED = "failed.jsonl"
SUMMARY = "batch.json"

Status = Literal["made", "there", "failed"]
STATUSES: tuple[Status, ...] = ("made", "there", "failed")


@dataclass(frozen=True)
class Result:
    """How one song ended. `file` is relative to the output; `seconds` is what making took."""

    line: int
    id: str | None
    number: int
    status: Status
    track_id: str | None = None
    file: str | None = None
    seed: int | None = None
    seconds: float | None = None
    code: str | None = None
    message: str | None = None
    hint: str | None = None


class Results:
    """The open files of one run. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._results = _begun(folder / RESULTS)
        self._failed: IO[bytes] | None = None
        self._failed_line = 0
        self.counts: Counter[Status] = Counter()
        (folder / FAILED).unlink(missing_ok=True)

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._results.close()
        if self._failed is not None:
            self._failed.close()
        summary = {"version": __version__, **{status: self.counts[status] for status in STATUSES}}
        replace_file(self._folder / SUMMARY, json.dumps(summary, indent=1).encode() + b"\n")

    def add(self, result: Result, text: bytes) -> None:
        """Note a result; text: the line of the file that asked for the song."""
        self.counts[result.status] += 1
        said = {name: value for name, value in asdict(result).items() if value is not None}
        self._results.write(json.dumps(said).encode() + b"\n")
        self._results.flush()
        if result.status == "failed" and result.line != self._failed_line:
            self._failed_line = result.line
            if self._failed is None:
                self._failed = _begun(self._folder / FAILED)
            self._failed.write(text.rstrip(b"\r\n") + b"\n")
            self._failed.flush()


def _begun(path: Path) -> IO[bytes]:
    """A new file; what had the name, a link perhaps, is gone and not written into."""
    while True:
        path.unlink(missing_ok=True)
        with suppress(FileExistsError):  # another batch of the same folder was faster
            return path.open("xb")
