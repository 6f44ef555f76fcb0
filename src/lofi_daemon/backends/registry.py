"""The backends there are, a line each, and which one a request gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.ace_step_15.backend import ace_step_15_backend
from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.musicgen.backend import musicgen_backend
from lofi_daemon.backends.options import SoundT, with_backends
from lofi_daemon.backends.protocol import Availability, Backend, GenerationRequest
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    BackendNotInstalled,
    ConfigurationError,
    InvalidBackend,
    LofiError,
    ModelLoadFailed,
)
from lofi_daemon.models.model_files import ModelFiles

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
        """Raises BackendNotInstalled, ModelLoadFailed."""
        if self.availability.error is not None:
            raise ModelLoadFailed(self.availability.error)
        if not self.availability.installed:
            info = self.backend.info
            raise BackendNotInstalled(f"{info.name} is not installed.", backend=info.type)


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
        self._made = {name: factory(settings) for name, factory in factories.items()}

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
            self._made[name] = self._factories[name](self._settings)
        return self._made[name]

    def files(self, name: str) -> ModelFiles[Any]:
        """The files of a model that can be downloaded. Raises InvalidBackend, naming those."""
        files = self.get(name).info.files
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

        Takes a tenth of a second or more, once: to be called in a thread of its own.
        """
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
        """Give back the memory of every other model."""
        for other in self._made.values():
            if other is not backend:
                other.unload()


def _asked(backend: Backend) -> Choice:
    return Choice(backend, backend.availability())
