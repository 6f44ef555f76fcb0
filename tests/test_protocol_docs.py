"""docs/protocol.md says what the code does."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.rpc.dispatch import with_options
from lofi_daemon.rpc.methods import METHODS, NOTIFICATIONS
from scripts import plugin_parameters
from scripts.protocol_docs import PAGE, render


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
            row = next(row for row in section.splitlines() if row.startswith(f"| `{parameter}` |"))
            assert not row.endswith("|  |"), f"nobody says what {parameter} means"


def test_what_a_module_tells_is_what_it_declares() -> None:
    for module in {sys.modules[method.handler.__module__] for method in METHODS}:
        source = Path(module.__file__ or "").read_text(encoding="utf-8")
        told = {a or b for a, b in re.findall(r'notify\(\s*"(\w+)"|method = "(\w+)"', source)}
        assert told == set(getattr(module, "NOTIFICATIONS", {}))
        assert told <= set(NOTIFICATIONS)


def test_every_field_of_every_result_and_notification_is_on_the_page() -> None:
    page = render()
    for model in (*(method.result for method in METHODS), *NOTIFICATIONS.values()):
        for each in with_what_is_inside(model):
            for name in each.model_fields:
                assert f"`{name}`" in page, f"{each.__name__}.{name}"


def with_what_is_inside(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from with_what_is_inside(each)
