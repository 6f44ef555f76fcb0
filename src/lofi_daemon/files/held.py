"""What small files say, held in memory and read again where one has changed; and what follows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")
SourceT = TypeVar("SourceT")
_State = tuple[int, int, int, int]

# More documents than all backends together have.
MOST = 256


class Held(Generic[ValueT]):
    """Values made of files, by file and kind. Safe from any thread; the values are not to change.

    A file whose place on the disk, size and times are those of before is not opened again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[Path, Any], tuple[_State, ValueT]] = OrderedDict()

    def get(self, path: Path, kind: object, read: Callable[[], ValueT]) -> ValueT:
        """What `read` returned for this state of the file; raises what it raises, and OSError."""
        state = _state(path)  # before reading: a change meanwhile is seen the next time
        key = (path, kind)
        with self._lock:
            known = self._values.get(key)
        if known is not None and known[0] == state:
            return known[1]
        value = read()
        with self._lock:
            self._values[key] = (state, value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


class Derived(Generic[SourceT, ValueT]):
    """What follows from an object that does not change, kept while the same one comes again."""

    def __init__(self, derive: Callable[[SourceT], ValueT]) -> None:
        self._derive = derive
        self._last: tuple[SourceT, ValueT] | None = None

    def of(self, source: SourceT) -> ValueT:
        """Raises what `derive` raises."""
        last = self._last
        if last is None or last[0] is not source:
            last = self._last = (source, self._derive(source))
        return last[1]


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
