"""A request that begins with other music: what it leaves open is the source's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import get_args

from lofi_daemon.backends.options import option_names
from lofi_daemon.backends.protocol import BackendInfo
from lofi_daemon.backends.registry import Registry
from lofi_daemon.backends.tasks import Span, Task, TaskName
from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.tracks import Track, TrackCache
from lofi_daemon.tracks.sources import Found, find_source

USUAL_EXTENSION_SEC = 30.0
USUAL_VARIATION = 0.3
# What of a source's options belongs to that one track.
_ITS_OWN = ("variation", "variation_seed", "loop", "repaint_mask")
# What of these its variations share.
_ITS_FAMILYS = ("loop", "repaint_mask")


@dataclass(frozen=True)
class Origin:
    """What a track begins with: a task, and the track that it was asked from.

    name: what was asked for. A variation of a track that began with nothing has no task: its
    request says all.
    """

    name: TaskName
    task: Task | None
    parent: str | None


def with_source(
    tracks: TrackCache, parameters: GenerationParameters
) -> tuple[GenerationParameters, Origin]:
    """The request with nothing of its source left open. Reads the source's sound.

    Raises TrackNotFound, AudioPlaybackError, InvalidParams.
    """
    assert parameters.task is not None, "a request without a task has no source"
    assert parameters.source is not None, "a task is parsed with its source"
    if "duration_sec" in parameters.model_fields_set and parameters.task != "flow":
        raise InvalidParams(
            "duration_sec: the length follows from the source and the span.",
            hint="Leave it out.",
            parameters=["duration_sec"],
        )
    found = find_source(tracks, parameters.source)
    if parameters.task == "variation":
        return _variation(tracks, parameters, found)
    span = _span(parameters, found)
    task = Task(parameters.task, found.source, span, parameters.strength)
    completed = _completed(parameters, found, task.duration_sec)
    return completed, Origin(parameters.task, task, found.source.track_id)


def raise_if_it_cannot(registry: Registry, info: BackendInfo, origin: Origin) -> None:
    """Raises InvalidParams, saying what can, where the backend cannot do the task."""
    task = origin.task
    for name in (origin.name, origin.name if task is None else task.name):
        if info.offer(name) is None:
            able = [each.info.name for each in registry if each.info.offer(name) is not None]
            offered = [each.name for each in info.tasks]
            raise InvalidParams(
                f"{info.name} cannot do {name}.",
                hint=f"It can do {listed(offered)}; {listed(able)} can do {name}.",
                parameters=["task"],
            )
    offer = None if task is None else info.offer(task.name)
    if task is None or offer is None:
        return
    if not offer.files and task.source.backend != info.type:
        able = [
            each.info.name
            for each in registry
            if (other := each.info.offer(task.name)) is not None and other.files
        ]
        raise InvalidParams(
            f"{info.name} can do {task.name} with its own tracks only, and {task.source.title} is "
            "none of them.",
            hint=f"Name one of its own; {listed(able)} can do {task.name} with any sound.",
            parameters=["source"],
        )
    if task.strength is not None and not offer.strength:
        raise InvalidParams(
            f"{info.name} takes no strength for {task.name}.",
            hint="Leave strength out.",
            parameters=["strength"],
        )


def _variation(
    tracks: TrackCache, parameters: GenerationParameters, found: Found
) -> tuple[GenerationParameters, Origin]:
    """Another start for the same request. Raises InvalidParams where there is no such request."""
    track = found.track
    if track is None:
        raise InvalidParams(
            f"{found.source.path} is no track: there is nothing to vary.",
            hint="Name a track of the library.",
            parameters=["source"],
        )
    task = None if track.task is None else _task_of(tracks, track)
    strength = USUAL_VARIATION if parameters.strength is None else parameters.strength
    written = track.model_dump(exclude_none=True)
    given = {
        "seed": track.seed,
        "variation_seed": secrets.randbits(32),
        **{name: written[name] for name in _ITS_FAMILYS if name in written},
        **without_defaults(parameters),
        "variation": strength,
    }
    varied = parse(type(parameters), given)
    completed = _completed(varied, found, track.duration_sec)
    return completed, Origin("variation", task, track.track_id)


def _task_of(tracks: TrackCache, track: Track) -> Task:
    """The task that made a track. Raises InvalidParams where its source is not what it was."""
    source = None if track.source is None else find_source(tracks, track.source).source
    if source is None or source.sha256 != track.source_sha256:
        raise InvalidParams(
            f"Track '{track.track_id}' was made from {track.source}, which is not what it was.",
            hint="Vary another track.",
            parameters=["source"],
        )
    name = next((each for each in get_args(TaskName) if each == track.task), None)
    if name is None:
        raise InvalidParams(
            f"Track '{track.track_id}' was made by {track.task}, which is not known here.",
            hint="Vary another track.",
            parameters=["source"],
        )
    return Task(name, source, track.span, track.strength)


def _span(parameters: GenerationParameters, found: Found) -> Span | None:
    """Raises InvalidParams for a span that does not fit the source and the task."""
    if parameters.task == "from_audio":
        return None
    source_sec = found.source.duration_sec
    if parameters.task == "flow":
        # numpy comes in with the first track that is gone on from.
        from lofi_daemon.sound.ending import full_until

        start = min(full_until(found.source.path), source_sec)
        return start, start + parameters.duration_sec
    if parameters.span is None:
        return source_sec, source_sec + USUAL_EXTENSION_SEC
    start, stop = parameters.span
    wrong: str | None = None
    if start >= stop:
        wrong = "it has no length"
    elif parameters.task == "repaint":
        if start < 0 or stop > source_sec:
            wrong = f"a part of the source lies from 0 to {source_sec:g} s"
    elif start > source_sec or stop < 0:
        wrong = f"it must touch the source, which lies from 0 to {source_sec:g} s"
    elif (start < 0) == (stop > source_sec):
        wrong = f"one end lies outside the source, which goes from 0 to {source_sec:g} s"
    if wrong is not None:
        raise InvalidParams(f"span: from {start:g} to {stop:g} s: {wrong}.", parameters=["span"])
    return start, stop


def _completed(
    parameters: GenerationParameters, found: Found, duration_sec: float
) -> GenerationParameters:
    """What is not given as the source has it. Raises InvalidParams."""
    given = without_defaults(parameters)
    track = found.track
    inherited: dict[str, object] = {}
    if track is not None:
        inherited = {"prompt": track.prompt}
        # New music from a sound is anybody's who can; what goes on from a track is its maker's.
        chosen = parameters.backend
        if chosen is None and parameters.task != "from_audio":
            inherited["backend"] = chosen = track.backend
        if chosen == track.backend:
            inherited |= _options(parameters, track)
    elif not parameters.prompt:
        raise InvalidParams(
            "parameter 'prompt' is missing",
            hint="A sound file has no words of its own: say what the music should be like.",
            parameters=["prompt"],
        )
    return parse(type(parameters), {**inherited, **given, "duration_sec": duration_sec})


def _options(parameters: GenerationParameters, track: Track) -> dict[str, object]:
    written = track.model_dump(exclude_none=True)
    left_out = set(_ITS_OWN)
    if "quality" in parameters.model_fields_set:
        left_out |= {"inference_steps", "scheduler"}
    names = option_names(type(parameters)) - left_out
    return {name: value for name, value in written.items() if name in names}


def without_defaults(parameters: GenerationParameters) -> dict[str, object]:
    """What was said in a request."""
    dumped = parameters.model_dump(exclude_unset=True)
    return {name: value for name, value in dumped.items() if value is not None}


def listed(names: list[str]) -> str:
    """The names as a sentence has them."""
    if len(names) < 2:
        return names[0] if names else "nobody"
    return f"{', '.join(names[:-1])} and {names[-1]}"
