"""The backends there are, a line each, and which one a request gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from lofi_daemon.backends.ace_step.backend import ace_step_backend
from lofi_daemon.backends.demo.backend import demo_backend
from lofi_daemon.backends.musicgen.backend import musicgen_backend
from lofi_daemon.backends.options import SoundT, with_backends
from lofi_daemon.backends.protocol import Backend
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    BackendNotInstalled,
    ConfigurationError,
    InvalidBackend,
    ModelLoadFailed,
)

# In order of preference: where nobody names a backend, the first installed full model is taken.
FACTORIES: Mapping[str, Callable[[Settings], Backend]] = {
    "ace_step": ace_step_backend,
    "musicgen": musicgen_backend,
    "demo": demo_backend,
}


class Registry:
    """All backends, made on first use; making one loads nothing."""

    def __init__(
        self,
        settings: Settings,
        factories: Mapping[str, Callable[[Settings], Backend]] = FACTORIES,
    ) -> None:
        """Raises ConfigurationError when the configured backend is unknown."""
        self._settings = settings
        self._factories = factories
        self._made: dict[str, Backend] = {}
        self._models: dict[type[Any], type[Any]] = {}
        if settings.backend is not None and settings.backend not in factories:
            raise ConfigurationError(
                f"LOFI_BACKEND={settings.backend:.80}: there is no such backend; "
                f"known are {', '.join(factories)}."
            )

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

    def taking_options(self, model: type[SoundT]) -> type[SoundT]:
        """`model` with every backend's options beside its own fields; made once."""
        if model not in self._models:
            self._models[model] = with_backends(model, [backend.info for backend in self])
        return cast("type[SoundT]", self._models[model])

    def default(self) -> Backend:
        """The configured backend, else the best installed full model, else the bundled one."""
        if self._settings.backend is not None:
            return self.get(self._settings.backend)
        backends = list(self)
        for backend in backends:
            available = backend.availability()
            if backend.info.full_model and available.installed and available.error is None:
                return backend
        return next((backend for backend in backends if not backend.info.full_model), backends[0])

    def choose(self, name: str | None) -> Backend:
        """The backend a request gets. One that was named, or configured, is never replaced.

        Raises InvalidBackend, BackendNotInstalled, ModelLoadFailed.
        """
        backend = self.default() if name is None else self.get(name)
        available = backend.availability()
        if available.error is not None:
            raise ModelLoadFailed(available.error)
        if not available.installed:
            raise BackendNotInstalled(
                f"{backend.info.name} is not installed.", backend=backend.info.type
            )
        return backend

    def unload_all(self) -> None:
        """Give back the memory of every model."""
        for backend in self._made.values():
            backend.unload()

    def unload_others(self, backend: Backend) -> None:
        """Give back the memory of every other model."""
        for other in self._made.values():
            if other is not backend:
                other.unload()
