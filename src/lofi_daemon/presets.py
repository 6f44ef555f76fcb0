"""The radio's presets: the bundled ones and the user's own.

Own presets are a JSON list of the same form in `radio.json` in the configuration folder
(`~/.config/lofi.nvim` on Linux, the platform's folder elsewhere); one with the name of a bundled
preset takes its place.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import platformdirs

from lofi_daemon.errors import InvalidParams
from lofi_daemon.parameters import MAX_PROMPT_LENGTH

BUNDLED_FILE = "radio_presets.json"
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
    return Path(platformdirs.user_config_dir("lofi.nvim", appauthor=False)) / OWN_FILE


def load_presets(own_file: Path | None = None) -> dict[str, Preset]:
    """All presets by name, the bundled ones first.

    Raises InvalidParams when the user's file cannot be understood, saying where.
    """
    bundled = resources.files("lofi_daemon").joinpath(BUNDLED_FILE).read_text("utf-8")
    presets = _parse(bundled, BUNDLED_FILE)
    file = own_file or own_presets_file()
    try:
        own = file.read_text("utf-8")
    except FileNotFoundError:
        return presets
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParams(f"The presets in {file} cannot be read: {error}") from error
    return {**presets, **_parse(own, str(file))}


def find_preset(name: str | None, own_file: Path | None = None) -> Preset:
    """The preset of that name (letter case aside), None: the default. Raises InvalidParams."""
    presets = load_presets(own_file)
    wanted = (name or DEFAULT_PRESET).casefold()
    for preset in presets.values():
        if preset.name.casefold() == wanted:
            return preset
    known = list(presets)
    raise InvalidParams(
        f"There is no radio preset '{name}'.",
        hint=f"Known presets: {', '.join(known)}. "
        f"Your own go into {own_file or own_presets_file()}.",
        known=known,
    )


def _parse(text: str, where: str) -> dict[str, Preset]:
    try:
        entries: Any = json.loads(text)
    except ValueError as error:
        raise _unclear(where, str(error)) from error
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


def _unclear(where: str, problem: str) -> InvalidParams:
    return InvalidParams(
        f"The radio presets in {where} cannot be understood: {problem}.",
        hint='A preset is {"name": "…", "description": "…", "prompts": ["…"]}.',
    )
