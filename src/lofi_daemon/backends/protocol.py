"""What the rest of the house knows of a music model.

Everything above (jobs, rpc, radio) talks to a `Backend`; nothing above names one. The module is
light on purpose: asking what there is must not load numpy or onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lofi_daemon.backends.tasks import Task, TaskName, TaskOffer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import InvalidParams
from lofi_daemon.models.model_files import ModelFiles
from lofi_daemon.parameters import Options, parse

if TYPE_CHECKING:
    from lofi_daemon.sound.clip import AudioClip
    from lofi_daemon.sound.stream import Listener


class Phase(str, Enum):
    """The stretches of one job, in the order in which they come; tokens and their decoding may take
    turns."""

    PREPARING = "preparing"
    LOADING = "loading"
    ENCODING = "encoding"
    DIFFUSING = "diffusing"
    DECODING_TOKENS = "decoding_tokens"
    DECODING = "decoding"
    FETCHING = "fetching"
    WRITING = "writing"


class Residency(str, Enum):
    """How a model is in memory: all of it stays, or each phase loads its own part."""

    KEPT = "kept"
    BY_PHASE = "by_phase"


@dataclass(frozen=True)
class Need:
    """Bytes that one phase of a track needs: for its part of the model, and to work with it."""

    model: int
    working: int

    @property
    def total(self) -> int:
        return self.model + self.working


OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class GenerationRequest:
    """One piece of music, fully said.

    duration_sec is in seconds, seed is an unsigned 64-bit number; options are of the class that
    the backend declares. task: what other music it begins with. parent: the track that it was asked
    from, which alone changes nothing of the sound.
    """

    prompt: str
    duration_sec: float
    seed: int
    options: Options = field(default_factory=Options)
    task: Task | None = None
    parent: str | None = None

    @property
    def made_sec(self) -> float:
        """How long that is which the model makes: with what leads in, and is cut off."""
        return self.duration_sec + (0.0 if self.task is None else self.task.lead_sec)

    def made_frames(self, sample_rate: int) -> int:
        """The same in samples, so that the track has as many as it should."""
        lead = 0 if self.task is None else self.task.lead_frames(sample_rate)
        return lead + round(self.duration_sec * sample_rate)

    def with_options(self, options: Options) -> GenerationRequest:
        """The same with other options; dataclasses.replace takes three times as long."""
        changed = object.__new__(GenerationRequest)
        vars(changed).update(vars(self), options=options)
        return changed

    def options_as(self, kind: type[OptionsT], backend: str = "This backend") -> OptionsT:
        """The options as the class that the backend of that name declares.

        Raises InvalidParams for one that is set and not in that class.
        """
        options = self.options
        if type(options) is kind:
            return options
        return parse_options(kind, options.given, backend)

    def shared_options(self, kind: type[OptionsT]) -> OptionsT:
        """The options that several backends share: some of them declare more, in a class of theirs.

        Raises what `options_as` raises for options of another kind.
        """
        options = self.options
        return options if isinstance(options, kind) else self.options_as(kind)


def parse_options(
    kind: type[OptionsT], given: Mapping[str, object], backend: str = "This backend"
) -> OptionsT:
    """The given options, checked against the class that the backend of that name declares.

    Raises InvalidParams, naming them, for options that it does not take; else what belongs to the
    first value that is out of range.
    """
    if not given:
        return _unset(kind)
    unknown = [name for name in given if name not in kind.model_fields]
    if unknown:
        takes = ", ".join(kind.model_fields) or "no options"
        raise InvalidParams(
            f"{backend} has no {', '.join(unknown)}.",
            hint=f"Leave these parameters out; it takes {takes}.",
            parameters=unknown,
        )
    return parse(kind, given)


@lru_cache
def _unset(kind: type[OptionsT]) -> OptionsT:
    return parse(kind, {})


@dataclass(frozen=True)
class PhaseProgress:
    """`done` of `total` pieces of a phase (solver iterations, tokens, decode windows).

    fraction is the share of the phase's expected *time* that has passed, 0 to 1: the pieces need
    not cost the same (a guided iteration is two model calls).
    """

    phase: Phase
    done: int
    total: int
    fraction: float


ProgressCallback = Callable[[PhaseProgress], None]


@dataclass(frozen=True)
class Understood:
    """What a backend read from a prompt, for the person who wrote it.

    text: all of it in one line. tempo: beats a minute that will be played, None where the prompt
    names none. key: "A minor", or "minor" where only that was said. plays, moods: what was asked
    for. only: the parts that play alone, None for all of them. left_out: what will not be heard.
    stand_ins: asked instruments that the model lacks, and what plays in their place, "" for
    nothing. not_known: words that say nothing to it.
    """

    text: str
    tempo: float | None = None
    key: str | None = None
    plays: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    stand_ins: Mapping[str, str] = field(default_factory=dict[str, str])
    not_known: tuple[str, ...] = ()


HERE = "here"


@dataclass(frozen=True)
class BackendInfo:
    """What never changes about a backend while the daemon runs.

    `options` declares what it takes beyond prompt, duration and seed; `files` where the model comes
    from and lies, for a backend that has one.
    `understand` says what it reads from a prompt, quickly, and None for nothing; where it is None
    the model alone knows.
    `place` is the name of the machine that computes, where that is another one.
    `tasks`: what it makes of other music.
    """

    type: str
    name: str
    sample_rate: int
    min_duration_sec: float
    max_duration_sec: float
    options: type[Options] = Options
    full_model: bool = True
    files: ModelFiles[Any] | None = None
    understand: Callable[[str], Understood | None] | None = None
    place: str = HERE
    tasks: tuple[TaskOffer, ...] = ()

    @property
    def is_here(self) -> bool:
        return self.place == HERE

    @property
    def timed_as(self) -> str:
        """What its times are remembered under: another machine has its own."""
        return self.type if self.is_here else f"{self.type}@{self.place}"

    def offer(self, task: TaskName) -> TaskOffer | None:
        """What it says of a task; None where it cannot do it."""
        return next((offer for offer in self.tasks if offer.name == task), None)

    def understood(self, prompt: str) -> Understood | None:
        """What was read from the prompt, where the backend says so."""
        return None if self.understand is None else self.understand(prompt)


@dataclass(frozen=True)
class Availability:
    """Whether generate would work now: `installed` and no `error`.

    `error` says which file is wrong and what to do; `model_version` is None when not installed;
    `device` is what computes ("cpu", "cuda", …), None until the model was loaded; `memory_bytes`
    what a track of a minute needs at least, the model included. `away`: the machine that it is on
    has told nothing of it, and `error` says why.
    """

    installed: bool
    model_version: str | None = None
    error: str | None = None
    device: str | None = None
    memory_bytes: int | None = None
    away: bool = False


Terms = Mapping[str, Any]
"""What requests to one model depend on beside its options' declarations, as JSON has it."""


class Backend(Protocol):
    """A model that turns a request into sound."""

    @property
    def info(self) -> BackendInfo: ...

    def availability(self) -> Availability:
        """Look at the files, not into them: quick, and safe from any thread."""
        ...

    def terms(self) -> Terms:
        """What the installed model says that `resolve` and `workload` ask. Raises ModelLoadFailed,
        ModelNotFound."""
        ...

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        """Fill in this backend's defaults and refuse what it cannot do.

        terms: of the same model on another machine; None: those of the one that is installed.
        Raises InvalidDuration outside the range, InvalidParams for an option that it does not take
        or that the installed files cannot do, and for a source that it cannot begin with,
        ModelLoadFailed for terms that are none.
        """
        ...

    def workload(
        self, request: GenerationRequest, terms: Terms | None = None
    ) -> Mapping[Phase, float]:
        """Expected seconds of each phase for a resolved request, on a machine of reference speed.

        Only the proportions matter: jobs correct them by what they measure. LOADING is there only
        while the model is not loaded, PREPARING where its files have to be made first; neither is
        for a model on another machine, whose `terms` are given.
        """
        ...

    @property
    def residency(self) -> Residency | None:
        """How the model is in memory; None while it is not."""
        ...

    def prepare(self, cancel: CancelToken, on_progress: ProgressCallback) -> None:
        """Make the files that run of those that were downloaded, where that has to be done.

        Raises ModelNotFound, ModelLoadFailed, Cancelled.
        """
        ...

    def needs(self, request: GenerationRequest) -> Mapping[Phase, Need]:
        """What each phase of a resolved request needs, the model being prepared.

        Raises ModelLoadFailed.
        """
        ...

    def load(
        self,
        cancel: CancelToken,
        on_progress: ProgressCallback,
        residency: Residency = Residency.KEPT,
    ) -> None:
        """Bring the model into memory; nothing to do when it is there already, in this way.

        Raises ModelNotFound, ModelLoadFailed, Cancelled.
        """
        ...

    def generate(
        self,
        request: GenerationRequest,
        *,
        on_progress: ProgressCallback,
        cancel: CancelToken,
        listener: Listener | None = None,
    ) -> AudioClip:
        """Make the music of a resolved request; `load` came before.

        The listener hears the sound in pieces, as they are decoded, before the clip is finished of
        them; the clip is the same with and without one. Raises ModelInferenceFailed, Cancelled.
        """
        ...

    def unload(self) -> None:
        """Give the model's memory back."""
        ...
