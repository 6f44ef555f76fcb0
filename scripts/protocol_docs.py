"""Writes docs/protocol.md from the models that check it: `python -m scripts.protocol_docs`.

A test compares the page with what this renders, so the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lofi_daemon import errors
from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.rpc import messages, playback_messages
from lofi_daemon.rpc.dispatch import with_options
from lofi_daemon.rpc.methods import METHODS

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"

NOTIFICATIONS: dict[str, type[BaseModel]] = {
    "generation_progress": messages.GenerationProgress,
    "generation_complete": messages.GenerationComplete,
    "generation_error": messages.GenerationError,
    "generation_cancelled": messages.GenerationCancelled,
    "download_progress": messages.DownloadProgress,
    "download_complete": messages.DownloadComplete,
    "download_error": messages.DownloadError,
    "playback_started": playback_messages.PlaybackPosition,
    "playback_paused": playback_messages.PlaybackPosition,
    "playback_resumed": playback_messages.PlaybackPosition,
    "playback_ended": playback_messages.PlaybackEndedMessage,
    "radio_waiting": playback_messages.RadioWaitingMessage,
}

INTRODUCTION = """\
# Protocol

<!-- Written by `python -m scripts.protocol_docs`; change the models, not this page. -->

JSON-RPC 2.0 over standard input and output, one JSON object (or batch array) a line, UTF-8.
`lofi-daemon`, `lofi-daemon serve` and `lofi-daemon --daemon` all serve it. A request without `id`
is carried out and not answered. Lines are at most 1 MiB long. Standard output carries protocol
lines only; logs go to standard error. At the end of standard input, at `shutdown`, SIGTERM and
SIGINT the running job is stopped and the process ends with status 0 within two seconds.

For every accepted job exactly one of `generation_complete`, `generation_error` and
`generation_cancelled` is sent, and it is the last word on that track. The answer to `generate`
comes before any notification of its track. `percent` is a claim about time.

A finished track is never thrown away. Where the folder of tracks does not take it (full,
read-only, gone, not to be entered), `generation_complete` has the `path` of the place that did, and
a `warning` that says what is wrong; for as long as this daemon lives it is a track like the others.
The places tried are the user's data folder (`~/.local/share/lofi.nvim/tracks` on Linux) and a new
folder among the temporary files. Only where none takes it is there a `generation_error` with
CACHE_WRITE_FAILED. Of a folder that cannot be read `status` and `radio_presets` say so in `error`,
beside what there is.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_methods(), *_notifications(), *_errors()])


def _methods() -> Iterator[str]:
    registry = Registry(Settings())
    yield "## Methods\n"
    for method in METHODS:
        yield f"### `{method.name}`\n"
        schema = with_options(method, registry).params.model_json_schema()
        if schema.get("properties"):
            yield "| parameter | type | default | meaning |\n|---|---|---|---|"
            required = schema.get("required", [])
            for name, field in schema["properties"].items():
                default = "required" if name in required else _literal(field.get("default"))
                meaning = field.get("description", "").replace("|", "\\|")
                yield f"| `{name}` | {_type(field, schema)} | {default} | {meaning} |"
            yield ""
        yield f"Result: {_fields(method.result)}\n"


def _notifications() -> Iterator[str]:
    yield "## Notifications\n\n| method | parameters |\n|---|---|"
    for name, model in NOTIFICATIONS.items():
        yield f"| `{name}` | {_fields(model)} |"
    yield ""


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "Every error has `data` with `code` (its name) and `hint` (what to do next).\n"
    yield "| code | name | usual hint |\n|---|---|---|"
    for error in _leaves(errors.LofiError):
        if error not in (errors.ConfigurationError, errors.OutputFailed):
            hint = error.default_hint.replace("|", "\\|")
            yield f"| {error.code} | {error.name} | {hint} |"
    yield ""


def _leaves(error: type[errors.LofiError]) -> Iterator[type[errors.LofiError]]:
    children = error.__subclasses__()
    if not children:
        yield error
    for child in children:
        yield from _leaves(child)


def _fields(model: type[BaseModel]) -> str:
    if model is messages.PlayerState:
        return "the player's state as in `status`"
    schema = model.model_json_schema()
    properties = schema.get("properties", {})
    return ", ".join(f"`{name}` {_type(field, schema)}" for name, field in properties.items())


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in field:
        definition = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
        inner = ", ".join(
            f"`{name}` {_type(each, schema)}" for name, each in definition["properties"].items()
        )
        return f"{{{inner}}}"
    if "anyOf" in field:
        return " or ".join(_type(each, schema) for each in field["anyOf"])
    if "enum" in field:
        return "/".join(f'"{value}"' for value in field["enum"])
    if "const" in field:
        return f"`{_literal(field['const'])}`"
    if field.get("type") == "array":
        return f"[{_type(field['items'], schema)}]"
    names = {"string": "text", "boolean": "true/false", "object": "object"}
    kind = names.get(field.get("type", ""), field.get("type", "any"))
    bounds = [
        field.get(low, field.get(f"exclusive{low.title()}")) for low in ("minimum", "maximum")
    ]
    if bounds[0] is not None and bounds[1] is not None:
        return f"{kind} {bounds[0]:g}–{bounds[1]:g}" if bounds[1] < 1e15 else f"{kind}, 64 bits"
    return kind


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
