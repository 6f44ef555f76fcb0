"""A batch in one process: one model at a time, every song of the file, what is there already left.

The file is read twice: once to know how much there is to do, and once to do it. Nothing of a song
is held in between, so that a million of them cost no more memory than ten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from lofi_daemon.backends.protocol import Backend, PhaseProgress, Terms
from lofi_daemon.backends.registry import Choice, Registry
from lofi_daemon.batch.library import AnyLibrary, name_of
from lofi_daemon.batch.results import Result, Results
from lofi_daemon.batch.songs import Refused, Song, SongParameters, read_songs
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import Settings, TrackFormat
from lofi_daemon.errors import CacheWriteFailed, InternalError, LofiError
from lofi_daemon.files.temporary import TemporaryFile
from lofi_daemon.jobs.making import load_for, out_of_memory
from lofi_daemon.jobs.requests import Resolved, resolve_for
from lofi_daemon.memory import give_back_freed_memory
from lofi_daemon.tracks.sidecar import Track, now

log = logging.getLogger(__name__)

# How a library is written.
TRACK_FORMAT: TrackFormat = "flac"
# Where the first songs all fail in one way, so would the other million.
HOPELESS_AFTER = 20
SHOWN_REFUSALS = 20
AT_A_TIME = 64

OnSong = Callable[["Standing"], None]


@dataclass
class Plan:
    """What there is to do. `refused`: the first lines that cannot be carried out."""

    songs: int = 0
    there: int = 0
    refused_lines: int = 0
    refused: list[Refused] = field(default_factory=list["Refused"])
    backends: list[Backend] = field(default_factory=list["Backend"])

    @property
    def to_make(self) -> int:
        return self.songs - self.there


@dataclass(frozen=True)
class Standing:
    """How far a run is: songs done of those that were to be made, and the one that comes."""

    done: int
    to_make: int
    elapsed_sec: float
    prompt: str

    @property
    def eta_sec(self) -> float | None:
        """Seconds to the end at the speed so far; None while nothing is done."""
        return self.elapsed_sec / self.done * (self.to_make - self.done) if self.done else None


def registry_for(settings: Settings) -> Registry:
    """The backends as a batch has them. Raises ConfigurationError."""
    return Registry(settings.model_copy(update={"track_format": TRACK_FORMAT}))


class Batch:
    """A file of songs and the library that it fills."""

    def __init__(self, registry: Registry, file: Path | None, library: AnyLibrary) -> None:
        """file: None for songs that come from elsewhere."""
        self._registry = registry
        self._file = file
        self._library = library
        self._model = registry.taking_options(SongParameters)
        self._choices: dict[str | None, tuple[Choice, Terms | None]] = {}

    def plan(self, cancel: CancelToken) -> Plan:
        """Check every line, look which tracks are there. Raises ConfigurationError, Cancelled."""
        plan, known = Plan(), set[int]()
        for entry in self._entries(cancel):
            if isinstance(entry, Refused):
                plan.refused_lines += 1
                if len(plan.refused) < SHOWN_REFUSALS:
                    plan.refused.append(entry)
                continue
            _, resolved = entry
            plan.songs += 1
            track_id = resolved.recipe.track_id
            number = int(track_id, 16)
            if resolved.backend not in plan.backends:
                plan.backends.append(resolved.backend)
            # a track that two lines ask for is made once
            if number in known or self._library.find(track_id) is not None:
                plan.there += 1
            known.add(number)
        return plan

    def make(self, plan: Plan, results: Results, on_song: OnSong, cancel: CancelToken) -> None:
        """Make what is missing, and note every song of the file in the results.

        A song that fails is noted and passed over. Raises Cancelled, CacheWriteFailed, and the
        first songs' own error where they all fail in one way.
        """
        began, done = time.monotonic(), 0
        codes: set[str | None] = set()
        for song, resolved in self.missing(plan, results, cancel):
            elapsed = time.monotonic() - began
            on_song(Standing(done, plan.to_make, elapsed, song.parameters.prompt))
            result, error = self._made(song, resolved, cancel)
            results.add(result, song.text)
            done += 1
            codes.add(result.code)
            if error is not None and done == HOPELESS_AFTER and len(codes) == 1:
                raise error
        on_song(Standing(done, plan.to_make, time.monotonic() - began, ""))

    def missing(
        self, plan: Plan, results: Results, cancel: CancelToken
    ) -> Iterator[tuple[Song, Resolved]]:
        """The songs to make, a model at a time; what is refused or there is noted in the results.

        Each is looked for when its turn comes. Raises Cancelled.
        """
        for entry in self._entries(cancel):
            if isinstance(entry, Refused):
                results.add(_refused(entry), entry.text)
        for backend in plan.backends:
            for song, resolved in self._songs_of(backend, cancel):
                track = self._library.find(resolved.recipe.track_id)
                if track is None:
                    yield song, resolved
                else:
                    results.add(_there(song, track), song.text)

    def carried_out(self, song: Song, cancel: CancelToken) -> Result:
        """One song, made or found; whatever is wrong with it is its result.

        Raises Cancelled, CacheWriteFailed.
        """
        try:
            resolved = self._resolved(song)
        except LofiError as error:
            return _refused(Refused(song.line, song.id, error, song.text))
        track = self._library.find(resolved.recipe.track_id)
        if track is not None:
            return _there(song, track)
        return self._made(song, resolved, cancel)[0]

    def _entries(self, cancel: CancelToken) -> Iterator[Refused | tuple[Song, Resolved]]:
        assert self._file is not None, "songs that come from elsewhere are carried out one by one"
        entries = read_songs(self._file, self._model)
        # One kind of work after the other for some at a time: a processor is faster in a rut.
        while some := list(islice(entries, AT_A_TIME)):
            cancel.raise_if_cancelled()
            yield from [
                entry if isinstance(entry, Refused) else self._resolved_or_refused(entry)
                for entry in some
            ]

    def _songs_of(self, backend: Backend, cancel: CancelToken) -> Iterator[tuple[Song, Resolved]]:
        for entry in self._entries(cancel):
            if not isinstance(entry, Refused) and entry[1].backend is backend:
                yield entry

    def _resolved_or_refused(self, song: Song) -> Refused | tuple[Song, Resolved]:
        try:
            return song, self._resolved(song)
        except LofiError as error:
            return Refused(song.line, song.id, error, song.text)

    def _resolved(self, song: Song) -> Resolved:
        """As for any other request, but each backend is asked only once in a run."""
        name = song.parameters.backend
        if name not in self._choices:
            choice = self._registry.choose(name)
            self._choices[name] = choice, choice.backend.terms() if choice.usable else None
        choice, terms = self._choices[name]
        return resolve_for(choice, song.parameters, seed=song.seed, terms=terms)

    def _made(
        self, song: Song, resolved: Resolved, cancel: CancelToken
    ) -> tuple[Result, LofiError | None]:
        """The boundary: whatever is wrong with one song concerns that song only.

        Raises Cancelled, and CacheWriteFailed, which the next song would meet too.
        """
        began = time.monotonic()
        try:
            track = self._make_one(resolved, began, cancel)
        except (Cancelled, CacheWriteFailed):
            raise
        except LofiError as failure:
            error = failure
        except MemoryError:
            error = out_of_memory(resolved.backend)
        except Exception as defect:
            log.exception("Line %d failed", song.line)
            error = InternalError(f"{type(defect).__name__}: {defect}")
        else:
            made = _there(song, track)
            seconds = round(time.monotonic() - began, 3)
            return replace(made, status="made", seconds=seconds), None
        finally:
            give_back_freed_memory()
        return _failed(song, resolved, error), error

    def _make_one(self, resolved: Resolved, began: float, cancel: CancelToken) -> Track:
        # numpy and its kin come in with the first song that is made.
        from lofi_daemon.tracks.writing import encode_track, measurements

        backend, recipe = resolved.backend, resolved.recipe
        load_for(self._registry, backend, recipe, cancel, _unheard)
        clip = backend.generate(recipe.request, on_progress=_unheard, cancel=cancel)

        def encode(file: TemporaryFile) -> Track:
            track = encode_track(
                clip,
                file,
                recipe,
                TRACK_FORMAT,
                lambda: measurements(clip),
                moment=now(),
                cancel=cancel,
            )
            seconds = round(time.monotonic() - began, 3)
            return track.model_copy(update={"generation_time_sec": seconds})

        return self._library.put(resolved.recipe.track_id, encode)


def _there(song: Song, track: Track) -> Result:
    return Result(
        song.line,
        song.id,
        song.number,
        "there",
        track_id=track.track_id,
        file=name_of(track),
        seed=track.seed,
    )


def _refused(line: Refused) -> Result:
    error = line.error
    return Result(
        line.line, line.id, 1, "failed", code=error.name, message=error.message, hint=error.hint
    )


def _failed(song: Song, resolved: Resolved, error: LofiError) -> Result:
    return Result(
        song.line,
        song.id,
        song.number,
        "failed",
        track_id=resolved.recipe.track_id,
        seed=resolved.recipe.request.seed,
        code=error.name,
        message=error.message,
        hint=error.hint,
    )


def _unheard(progress: PhaseProgress) -> None:
    """A batch counts songs; how far one of them is concerns nobody."""
