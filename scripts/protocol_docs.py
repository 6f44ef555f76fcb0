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
from lofi_daemon.rpc.dispatch import with_options
from lofi_daemon.rpc.methods import METHODS, NOTIFICATIONS
from lofi_daemon.rpc.methods.playback import PlayerState

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"

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


def _item(array: dict[str, Any]) -> dict[str, Any]:
    """What each of an array's items is; a pair's are alike."""
    return array["items"] if "items" in array else array["prefixItems"][0]


def _fields(model: type[BaseModel]) -> str:
    if model is PlayerState:
        return "the player's state as in `status`"
    schema = model.model_json_schema()
    return _all(schema, schema)


def _all(described: dict[str, Any], schema: dict[str, Any]) -> str:
    """Every field of an object that the schema describes, in one line."""
    fields = [
        f"`{name}` {_type(field, schema, bounds=False)}"
        for name, field in described.get("properties", {}).items()
    ]
    if described.get("additionalProperties") is True:
        fields.append("and the backends' options by their names")
    return ", ".join(fields)


def _type(field: dict[str, Any], schema: dict[str, Any], *, bounds: bool = True) -> str:
    if "$ref" in field:
        definition = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
        return f"{{{_all(definition, schema)}}}"
    if "anyOf" in field:
        return " or ".join(_type(each, schema, bounds=bounds) for each in field["anyOf"])
    if "enum" in field:
        return "/".join(f'"{value}"' for value in field["enum"])
    if "const" in field:
        return f"`{_literal(field['const'])}`"
    if field.get("type") == "array":
        return f"[{_type(_item(field), schema, bounds=bounds)}]"
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"object of {_type(values, schema, bounds=bounds)}"
    names = {"string": "text", "boolean": "true/false"}
    kind = names.get(field.get("type", ""), field.get("type", "any"))
    least, most = (
        field.get(end, field.get(f"exclusive{end.title()}")) for end in ("minimum", "maximum")
    )
    if bounds and least is not None and most is not None:
        return f"{kind} {least:g}–{most:g}" if most < 1e15 else f"{kind}, 64 bits"
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
