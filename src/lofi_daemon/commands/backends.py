"""`lofi-daemon backends`."""

from __future__ import annotations

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.text import say


def list_backends(settings: Settings) -> int:
    """Print a line for each backend: name, whether it would work, version or what is wrong."""
    registry = Registry(settings)
    registry.introduce()
    survey = registry.survey()
    default = registry.default(survey)
    for choice in survey:
        info, available = choice.backend.info, choice.availability
        if available.error is not None:
            state = f"error: {available.error}"
        elif available.installed:
            where = "" if info.is_here else f" on {info.place}"
            state = f"ready{where} ({available.model_version})"
        else:
            state = "not installed"
        mark = "*" if choice is default else " "
        say(f"{mark} {info.type:<10} {info.name:<24} {state}")
    return 0
