"""The backends there are, a line each, and which one a request gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.ace_step_15.backend import ace_step_15_backend
from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.musicgen.backend import musicgen_backend
from lofi_daemon.backends.options import SoundT, with_backends
from lofi_daemon.backends.protocol import Availability, Backend, BackendInfo, GenerationRequest
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    BackendNotInstalled,
    ConfigurationError,
    InvalidBackend,
    LofiError,
    ModelLoadFailed,
    RemoteUnavailable,
)
from lofi_daemon.models.model_files import ModelFiles

if TYPE_CHECKING:
    from lofi_daemon.backends.remote.box import Box, Report

# In order of preference: where nobody names a backend, the first installed full model is taken.
FACTORIES: Mapping[str, Callable[[Settings], Backend]] = {
    "ace_step_15": ace_step_15_backend,
    "ace_step": ace_step_backend,
    "musicgen": musicgen_backend,
    "demo": demo_backend,
}


@dataclass(frozen=True)
class Choice:
    """A backend and what it said of itself when it was asked, once."""

    backend: Backend
    availability: Availability

    @property
    def usable(self) -> bool:
        return self.availability.installed and self.availability.error is None

    def raise_if_unusable(self) -> None:
        """Raises BackendNotInstalled, ModelLoadFailed, RemoteUnavailable."""
        info, available = self.backend.info, self.availability
        if available.away:
            raise RemoteUnavailable(available.error or f"{info.place} is away.")
        if available.error is not None:
            raise ModelLoadFailed(available.error)
        if not available.installed:
            where, hint = "", None
            if not info.is_here:
                where = f" on {info.place}"
                hint = f"Download it there: `lofi-daemon download {info.type}` on {info.place}."
            raise BackendNotInstalled(
                f"{info.name} is not installed{where}.", hint=hint, backend=info.type
            )


class Registry:
    """All backends; making one loads nothing."""

    def __init__(
        self,
        settings: Settings,
        factories: Mapping[str, Callable[[Settings], Backend]] = FACTORIES,
    ) -> None:
        """Raises ConfigurationError when the configured backend is unknown, or what is configured
        for one of them is wrong."""
        self._settings = settings
        self._factories = factories
        self._models: dict[type[Any], type[Any]] = {}
        if settings.backend is not None and settings.backend not in factories:
            raise ConfigurationError(
                f"LOFI_BACKEND={settings.backend:.80}: there is no such backend; "
                f"known are {', '.join(factories)}."
            )
        self._box = self._configured_box()
        self._made = {name: self._make(name) for name in factories}

    def __iter__(self) -> Iterator[Backend]:
        return iter([self.get(name) for name in self._factories])

    @property
    def names(self) -> list[str]:
        return list(self._factories)

    def get(self, name: str) -> Backend:
        """Raises InvalidBackend with the known names."""
        if name not in self._factories:
            raise InvalidBackend(
                f"There is no backend '{name[:64]}'.",
                hint=f"Known backends are {', '.join(self.names)}.",
                known=self.names,
            )
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def files(self, name: str) -> ModelFiles[Any]:
        """The files of a model that can be downloaded. Raises InvalidBackend, naming those."""
        info = self.get(name).info
        if not info.is_here:
            raise InvalidBackend(
                f"{info.name} computes on {info.place}, and its files are there.",
                hint=f"Run `lofi-daemon download {info.type}` on {info.place}.",
                known=self.downloadable,
            )
        files = info.files
        if files is None or files.published is None:
            known = self.downloadable
            raise InvalidBackend(
                f"There is nothing to download for '{name[:64]}'.",
                hint=f"Models that can be downloaded are {', '.join(known)}.",
                known=known,
            )
        return files

    @property
    def downloadable(self) -> list[str]:
        """The names of the backends whose models can be downloaded."""
        files = [backend.info.files for backend in self]
        return [each.type for each in files if each is not None and each.published is not None]

    def taking_options(self, model: type[SoundT]) -> type[SoundT]:
        """`model` with every backend's options beside its own fields; made once."""
        if model not in self._models:
            self._models[model] = with_backends(model, [backend.info for backend in self])
        return cast("type[SoundT]", self._models[model])

    def introduce(self) -> None:
        """Where nothing is known yet of the machine that computes, ask it, and wait for it."""
        if self._box is not None and not self._box.is_known:
            self._box.ask()

    def report(self) -> Report | None:
        """What the machine that computes says now; None where that is this one. Waits for it."""
        return None if self._box is None else self._box.ask(examine=True)

    def leave(self) -> None:
        """Let go of the machine that computes; for a process that ends."""
        if self._box is not None:
            self._box.leave()

    def device(self) -> str:
        """What computes here, by LOFI_DEVICE's names. Loads the library that knows, if need be.

        Raises ModelLoadFailed.
        """
        import onnxruntime

        from lofi_daemon.onnx.devices import choose_device

        providers = list(onnxruntime.get_available_providers())
        return choose_device(self._settings.device, providers).device

    def survey(self) -> list[Choice]:
        """Every backend, each asked once."""
        return [_asked(backend) for backend in self]

    def default(self, survey: Iterable[Choice] | None = None) -> Choice:
        """The configured backend, else the best installed full model, else the bundled one.

        Where a survey was made already, nobody is asked again.
        """
        choices = survey or map(_asked, self)
        configured = self._settings.backend
        if configured is not None:
            if survey is None:
                return _asked(self.get(configured))
            return next(each for each in choices if each.backend.info.type == configured)
        last_resort: Choice | None = None
        for choice in choices:
            if choice.backend.info.full_model and choice.usable:
                return choice
            if last_resort is None or last_resort.backend.info.full_model:
                last_resort = choice
        assert last_resort is not None, "a registry has backends"
        return last_resort

    def choose(self, name: str | None) -> Choice:
        """The backend a request gets, usable or not. One that was named is never replaced.

        Raises InvalidBackend.
        """
        return self.default() if name is None else _asked(self.get(name))

    def rehearse(self) -> None:
        """Have every usable backend resolve a request, so that none waits for libraries later.

        Takes a tenth of a second or more, once: to be called in a thread of its own. The machine
        that computes is asked what it has meanwhile; nobody waits for that.
        """
        if self._box is not None:
            self._box.ask_soon()
        for choice in self.survey():
            info = choice.backend.info
            if choice.usable:
                with suppress(LofiError, OSError):  # who asks for a track is told
                    request = GenerationRequest("rain", info.min_duration_sec, 0)
                    choice.backend.workload(choice.backend.resolve(request))
                    info.understood(request.prompt)

    def forget(self, backend: Backend) -> None:
        """Make this backend anew when it is next asked for: a call hangs in the one there is."""
        self._made = {name: made for name, made in self._made.items() if made is not backend}

    def unload_all(self) -> None:
        """Give back the memory of every model."""
        for backend in self._made.values():
            backend.unload()

    def unload_others(self, backend: Backend) -> None:
        """Give back the memory of every other model; one on another machine takes none here."""
        for other in self._made.values():
            if other is not backend and other.info.is_here:
                other.unload()

    def _configured_box(self) -> Box | None:
        """Raises ConfigurationError."""
        command, wanted = self._settings.remote, self._settings.remote_backends
        unknown = [name for name in wanted or () if name not in self._factories]
        if unknown:
            raise ConfigurationError(
                f"LOFI_REMOTE_BACKENDS={','.join(unknown):.80}: there is no such backend; "
                f"known are {', '.join(self._factories)}."
            )
        if not command:
            return None
        # Whoever has no other machine spends no time on it.
        from lofi_daemon.backends.remote.address import address_of
        from lofi_daemon.backends.remote.box import Box

        return Box(address_of(command), self._settings.cache_folder / "remote.json")

    def _make(self, name: str) -> Backend:
        """As it is placed: here, or on the machine that computes."""
        backend = self._factories[name](self._settings)
        if self._box is None or not self._is_elsewhere(backend.info):
            return backend
        from lofi_daemon.backends.remote.backend import RemoteBackend

        return RemoteBackend(backend, self._box, self._settings.track_format)

    def _is_elsewhere(self, info: BackendInfo) -> bool:
        wanted = self._settings.remote_backends
        return info.full_model if wanted is None else info.type in wanted


def _asked(backend: Backend) -> Choice:
    return Choice(backend, backend.availability())
