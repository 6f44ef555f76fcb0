"""The radio's presets: the bundled ones and the user's own.

Own presets are a JSON list of the same form in `radio.json` in the configuration folder
(`~/.config/lofi.nvim` on Linux, the platform's folder elsewhere); one with the name of a bundled
preset takes its place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from lofi_daemon.config import user_folder
from lofi_daemon.errors import ConfigurationError, InvalidParams
from lofi_daemon.files.documents import read_document
from lofi_daemon.parameters import MAX_PROMPT_LENGTH
from lofi_daemon.text import short_name

log = logging.getLogger(__name__)

BUNDLED_FILE = "presets.json"
OWN_FILE = "radio.json"
DEFAULT_PRESET = "rainy night"


@dataclass(frozen=True)
class Preset:
    name: str
    description: str
    prompts: tuple[str, ...]

    def as_result(self) -> dict[str, Any]:
        return {**asdict(self), "prompts": list(self.prompts)}


def own_presets_file() -> Path:
    """Raises ConfigurationError where nothing says where the user's folder is."""
    return user_folder("config") / OWN_FILE


@dataclass(frozen=True)
class Presets:
    """All presets by name, the bundled ones first; `problem` where the user's own are missing."""

    by_name: Mapping[str, Preset]
    problem: InvalidParams | None = None

    def find(self, name: str | None) -> Preset | None:
        """The preset of that name (letter case aside); None: the default."""
        wanted = (name or DEFAULT_PRESET).casefold()
        for preset in self.by_name.values():
            if preset.name.casefold() == wanted:
                return preset
        return None

    def title(self, prompt: str) -> str:
        """What a track of this prompt is called, after the preset that has it."""
        presets = self.by_name.values()
        preset = next((preset.name for preset in presets if prompt in preset.prompts), None)
        return short_name(prompt, preset)


def load_presets(own_file: Path | None = None) -> Presets:
    """The bundled presets and the user's own.

    Where the user's file cannot be read or understood, `problem` says why and where, and the
    bundled ones are there all the same.
    """
    bundled = resources.files("lofi_daemon.radio").joinpath(BUNDLED_FILE).read_text("utf-8")
    presets = _parse(json.loads(bundled), BUNDLED_FILE)
    try:
        return Presets({**presets, **_own(own_file or own_presets_file())})
    except InvalidParams as problem:
        return Presets(presets, problem)
    except ConfigurationError as error:  # nobody knows where the user's folder is
        return Presets(presets, InvalidParams(error.message, hint=error.hint))


def find_preset(name: str | None, own_file: Path | None = None) -> Preset:
    """The preset of that name (letter case aside), None: the default.

    Raises InvalidParams where there is none; what is wrong with the user's own file is that
    error then, and else a line in the log.
    """
    presets = load_presets(own_file)
    preset = presets.find(name)
    if preset is None:
        known = list(presets.by_name)
        raise presets.problem or InvalidParams(
            f"There is no radio preset '{name}'.",
            hint=f"Known presets: {', '.join(known)}. "
            f"Your own go into {own_file or own_presets_file()}.",
            known=known,
        )
    if presets.problem is not None:
        log.warning("%s", presets.problem.message)
    return preset


def _own(file: Path) -> dict[str, Preset]:
    """The user's presets; none where there is no such file. Raises InvalidParams."""
    try:
        entries = read_document(file)
    except FileNotFoundError as error:
        if not any(path.is_symlink() for path in (file, file.parent)):
            return {}
        raise _unreadable(file, "it is a link to nothing") from error
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unclear(str(file), str(error)) from error
    return _parse(entries, str(file))


def _parse(entries: Any, where: str) -> dict[str, Preset]:
    if not isinstance(entries, list):
        raise _unclear(where, "it is not a list")
    presets = [
        _preset(entry, f"{where}, entry {number}")
        for number, entry in enumerate(cast("list[Any]", entries), start=1)
    ]
    return {preset.name: preset for preset in presets}


def _preset(entry: Any, where: str) -> Preset:
    if not isinstance(entry, dict):
        raise _unclear(where, "it is not an object")
    fields = cast("dict[str, Any]", entry)
    name, description = fields.get("name"), fields.get("description", "")
    prompts: Any = fields.get("prompts")
    if not isinstance(name, str) or not name.strip():
        raise _unclear(where, "it needs a name")
    if not isinstance(description, str):
        raise _unclear(where, "the description must be text")
    if not isinstance(prompts, list) or not prompts:
        raise _unclear(where, "it needs a list of prompts")
    for prompt in cast("list[Any]", prompts):
        if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT_LENGTH:
            raise _unclear(where, f"a prompt is text of 1 to {MAX_PROMPT_LENGTH} characters")
    return Preset(name, description, tuple(cast("list[str]", prompts)))


def _unreadable(file: Path, problem: str) -> InvalidParams:
    return InvalidParams(
        f"The radio presets in {file} cannot be read: {problem}.",
        hint="Mend or remove the file; the bundled presets are there without it.",
    )


def _unclear(where: str, problem: str) -> InvalidParams:
    return InvalidParams(
        f"The radio presets in {where} cannot be understood: {problem}.",
        hint='A preset is {"name": "…", "description": "…", "prompts": ["…"]}.',
    )
