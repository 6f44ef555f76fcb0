"""Music that begins with other music: what can be asked, and what it begins with.

A backend declares the tasks that it can do (`TaskOffer`), as it declares its options.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lofi_daemon.parameters import TaskName

Span = tuple[float, float]


@dataclass(frozen=True)
class TaskOffer:
    """A task that a backend can do.

    files: from any sound, not only from tracks that this backend made. strength: it can be told
    how far to go.
    """

    name: TaskName
    files: bool = False
    strength: bool = False


@dataclass(frozen=True)
class Source:
    """The music that a task begins with.

    path: its sound. sha256: of what it sounds like and was made of, 64 hex digits, whatever it is
    called. track_id, backend, model_version: of a track of the library, else None. material: what
    the model made it of, None where that was not kept.
    """

    path: Path
    sha256: str
    duration_sec: float
    track_id: str | None = None
    backend: str | None = None
    model_version: str | None = None
    material: Path | None = None

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return f"Track '{self.track_id}'" if self.track_id else str(self.path)


@dataclass(frozen=True)
class Task:
    """What is done with a source.

    span: from where to where there is new music, in seconds of the source: it may begin before the
    source does (below 0) or end after it; a flow is its span alone. strength: 0 to 1. lead_sec: so
    much of a flow's source before the span is heard by the model, and is not in the new track.
    """

    name: TaskName
    source: Source
    span: Span | None = None
    strength: float | None = None
    lead_sec: float = 0.0

    @property
    def offset_sec(self) -> float:
        """Where the source begins in what is made; below 0 where only its end is in that."""
        if self.span is None:
            return 0.0
        if self.name == "flow":
            return self.lead_sec - self.span[0]
        return max(0.0, -self.span[0])

    @property
    def window_sec(self) -> Span:
        """From where to where there is new music in what is made; all where no span is given."""
        if self.span is None:
            return 0.0, self.duration_sec
        if self.name == "flow":
            return self.lead_sec, self.lead_sec + self.duration_sec
        return self.span[0] + self.offset_sec, self.span[1] + self.offset_sec

    @property
    def duration_sec(self) -> float:
        """Of the new track."""
        end = self.source.duration_sec
        if self.span is None:
            return end
        if self.name == "flow":
            return round(self.span[1] - self.span[0], 9)
        return self.offset_sec + max(end, self.span[1])

    @property
    def identity(self) -> dict[str, object]:
        """What of it changes the sound."""
        return {
            "name": self.name,
            "source": self.source.sha256,
            "span": None if self.span is None else list(self.span),
            "strength": self.strength,
        }

    def lead_frames(self, frames_per_sec: float) -> int:
        """What of that which is made leads in, and is cut off."""
        return round(self.lead_sec * frames_per_sec)
