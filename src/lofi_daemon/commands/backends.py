"""`lofi-daemon backends`."""

from __future__ import annotations

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.text import say


def list_backends(settings: Settings) -> int:
    """Print a line for each backend: name, whether it would work, version or what is wrong."""
    registry = Registry(settings)
    default = registry.default()
    for backend in registry:
        info, available = backend.info, backend.availability()
        if available.error is not None:
            state = f"error: {available.error}"
        elif available.installed:
            state = f"ready ({available.model_version})"
        else:
            state = "not installed"
        mark = "*" if backend is default else " "
        say(f"{mark} {info.type:<10} {info.name:<24} {state}")
    return 0
