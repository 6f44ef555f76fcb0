"""Settings from the environment and the command line, checked before anything starts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lofi_daemon.errors import ConfigurationError

TrackFormat = Literal["wav16", "wav24", "flac", "flac24"]
DeviceName = Literal["auto", "cpu", "cuda", "metal", "directml", "webgpu"]


def default_cache_folder() -> Path:
    """`~/.cache/lofi.nvim` on Linux (XDG_CACHE_HOME honoured), the platform's folder elsewhere."""
    return user_folder("cache")


def user_folder(kind: Literal["cache", "config", "data"]) -> Path:
    """The user's folder for this program's files of that kind, as the platform has it.

    Raises ConfigurationError where neither a variable nor the system says where the user is at
    home.
    """
    ask = {
        "cache": platformdirs.user_cache_dir,
        "config": platformdirs.user_config_dir,
        "data": platformdirs.user_data_dir,
    }[kind]
    try:
        name = ask("lofi.nvim", appauthor=False)
    except RuntimeError:
        name = "~"
    if name.startswith("~"):  # what older versions of platformdirs leave as it is
        raise ConfigurationError(
            "HOME is not set, and the system knows no home folder of this user.",
            hint=f"Set HOME, or XDG_{kind.upper()}_HOME for this folder alone.",
        )
    return Path(name)


class Settings(BaseModel):
    """What is configured for all models. Field titles are the environment variables' names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str | None = Field(
        default=None,
        title="LOFI_BACKEND",
        description="The backend that generates when a request names none.",
    )
    tracks_folder: Path = Field(
        default_factory=lambda: default_cache_folder() / "tracks",
        title="LOFI_CACHE_PATH",
        description="Where finished tracks are kept.",
    )
    cache_max_mb: int = Field(
        default=2048,
        ge=1,
        title="LOFI_CACHE_MAX_MB",
        description="Size of the track cache; the least recently played tracks go first.",
    )
    track_format: TrackFormat = Field(
        default="wav16",
        title="LOFI_TRACK_FORMAT",
        description="How tracks are written: wav16, wav24, flac or flac24.",
    )
    audio_device: str | None = Field(
        default=None,
        title="LOFI_AUDIO_DEVICE",
        description="The sound device to play on; the system's default when not set. null plays to "
        "nobody, file:/path.wav records what would be heard.",
    )
    mpris: bool = Field(
        default=True,
        title="LOFI_MPRIS",
        description="Whether media keys and the desktop's own player control the music (on Linux): "
        "on or off.",
    )
    device: DeviceName = Field(
        default="auto",
        title="LOFI_DEVICE",
        description="What computes: auto, cpu, cuda, metal, directml or webgpu.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        title="LOFI_THREADS",
        description="Processor threads a model may use; all cores when not set.",
    )
    unload_after_min: float = Field(
        default=15.0,
        gt=0.0,
        le=100_000.0,
        title="LOFI_UNLOAD_AFTER_MIN",
        description="Minutes without work after which a model's memory is given back.",
    )
    remote: tuple[str, ...] | None = Field(
        default=None,
        title="LOFI_REMOTE",
        description="A command that ends in lofi-daemon on the machine that computes: ssh gpubox "
        "lofi-daemon.",
    )
    remote_backends: tuple[str, ...] | None = Field(
        default=None,
        title="LOFI_REMOTE_BACKENDS",
        description="Which backends compute there, with commas between; every full model when not "
        "set.",
    )
    backend_variables: Mapping[str, str] = Field(
        default_factory=dict[str, str],
        description="The other LOFI_ variables that are set: each backend knows its own.",
    )

    @property
    def cache_folder(self) -> Path:
        """Where the daemon keeps what it learnt about itself; the home of the default folders."""
        return default_cache_folder()

    @property
    def unload_after_sec(self) -> float:
        return 60.0 * self.unload_after_min

    @property
    def cache_max_bytes(self) -> int:
        return self.cache_max_mb * 1_000_000

    @field_validator("remote", mode="before")
    @classmethod
    def _command(cls, written: object) -> object:
        return tuple(shlex.split(written)) if isinstance(written, str) else written

    @field_validator("remote_backends", mode="before")
    @classmethod
    def _names(cls, written: object) -> object:
        if not isinstance(written, str):
            return written
        return tuple(name.strip() for name in written.split(",") if name.strip())

    @field_validator("tracks_folder")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return absolute(folder)


def absolute(folder: Path) -> Path:
    """The folder as the user wrote it, from the root. Raises ValueError."""
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise ValueError("the system knows no such home folder; give the whole path") from None
    except OSError:
        raise ValueError("the current folder is gone; give the whole path") from None


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables.

    An empty variable counts as not set. Raises ConfigurationError naming the variable.
    """
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    variables = {field.title: name for name, field in Settings.model_fields.items() if field.title}
    values: dict[str, Any] = {
        name: given[variable] for variable, name in variables.items() if variable in given
    }
    values["backend_variables"] = {
        name: value
        for name, value in given.items()
        if name.startswith("LOFI_") and name not in variables
    }
    try:
        return Settings(**values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        title = Settings.model_fields[name].title if name in Settings.model_fields else None
        message = problem["msg"]
        raise ConfigurationError(
            f"{title or name}={problem['input']!s:.80}: {message[:1].lower()}{message[1:]}"
        ) from None
