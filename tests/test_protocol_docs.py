"""docs/protocol.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.rpc import messages, playback_messages
from lofi_daemon.rpc.dispatch import with_options
from lofi_daemon.rpc.methods import METHODS
from scripts import plugin_parameters
from scripts.protocol_docs import NOTIFICATIONS, PAGE, render


def test_the_page_is_what_the_models_render() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m scripts.protocol_docs"


def test_the_plugins_table_is_what_the_declarations_say() -> None:
    table = plugin_parameters.TABLE.read_text(encoding="utf-8")
    assert table == plugin_parameters.render(), "run python -m scripts.plugin_parameters"


def test_every_method_has_a_section_and_every_parameter_a_row() -> None:
    page = render()
    registry = Registry(Settings())
    for method in METHODS:
        section = page.split(f"### `{method.name}`\n")[1].split("\n### ")[0]
        for parameter in with_options(method, registry).params.model_fields:
            assert f"| `{parameter}` |" in section


def test_every_notification_model_is_listed() -> None:
    listed = set(NOTIFICATIONS.values())
    for module in (messages, playback_messages):
        for name in _classes_after(module.__file__, "# Notifications"):
            model = getattr(module, name)
            assert issubclass(model, BaseModel)
            assert model in listed, name


def _classes_after(path: str | None, heading: str) -> list[str]:
    text = Path(path or "").read_text(encoding="utf-8").split(heading)[1]
    return [line[6:].split("(")[0] for line in text.splitlines() if line.startswith("class ")]
