"""Writes lua/lofi/declared.lua from the classes that declare a track's parameters.

    python -m scripts.plugin_parameters

A test compares the file with what this renders, so the two cannot drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lofi_daemon.backends.options import DeclaredOption, declared
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.parameters import GenerationParameters

TABLE = Path(__file__).parent.parent / "lua" / "lofi" / "declared.lua"

# Numbers of Lua cannot hold every seed, a string of digits can.
SEED_TYPES = ("number", "string")

# In the plugin `play` says whether, and the daemon is asked for it as early as can be; tasks have
# commands of their own.
NOT_DECLARED = ("prompt", "play", "task", "source", "span", "strength")


def render() -> str:
    """The whole file, in the form that stylua gives it."""
    registry = Registry(Settings())
    options = declared(registry.taking_options(GenerationParameters))
    prompt = next(option for option in options if option.name == "prompt")
    others = [option for option in options if option.name not in NOT_DECLARED]
    lines = [
        "---The parameters of one track as the daemon declares them. Written by",
        "---`python -m scripts.plugin_parameters`; change the declarations, not this file.",
        "-- luacheck: no max line length",
        "",
        "---@class lofi.GenerateOptions",
        *(_annotation(option) for option in [prompt, *others]),
        "---@field play? boolean play the track as soon as it can be heard (default false)",
        "",
        "---@type lofi.Parameter[]",
        "return {",
        *(line for option in others for line in _entry(option, registry.names)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _annotation(option: DeclaredOption) -> str:
    if option.name.endswith("seed"):
        kind = "integer|string"
    elif option.choices is not None:
        kind = "|".join(json.dumps(choice) for choice in option.choices)
    else:
        kind = option.type
    return f"---@field {option.name}? {kind} {option.help}"


def _entry(option: DeclaredOption, backends: list[str]) -> Iterator[str]:
    kind = "number" if option.type in ("integer", "number") else option.type
    types = SEED_TYPES if option.name.endswith("seed") else (kind,)
    known = option.choices
    if option.name == "backend":
        known = tuple(backends)
    elif option.type == "boolean":
        known = ("true", "false")
    yield "  {"
    yield f"    name = {json.dumps(option.name)},"
    yield f"    key = {json.dumps(option.key)},"
    yield f"    types = {_list(types)},"
    if known:
        yield f"    choices = {_list(known)},"
    yield f"    help = {_text(option.help)},"
    yield "  },"


def _text(value: str) -> str:
    """A Lua string, in the quotes that need no escapes."""
    plain = '"' not in value or "'" in value or "\\" in value
    return json.dumps(value, ensure_ascii=False) if plain else f"'{value}'"


def _list(values: tuple[str, ...]) -> str:
    return "{ " + ", ".join(json.dumps(value) for value in values) + " }"


def main() -> None:
    TABLE.write_text(render(), encoding="utf-8")
    print(TABLE)


if __name__ == "__main__":
    main()
