"""The real daemon with backends that play notes: `python -m tests.tone_daemon '{"seconds": …}'`.

The argument is a JSON object of backends: name → ToneBackend's fields, phases by name.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from lofi_daemon.backends.protocol import Availability, Phase
from lofi_daemon.backends.tasks import TaskOffer
from lofi_daemon.config import load_settings
from lofi_daemon.rpc.server import serve


def main() -> None:
    backends: dict[str, dict[str, Any]] = json.loads(sys.argv[1])
    serve(load_settings(os.environ), {name: factory(name, said) for name, said in backends.items()})


def factory(name: str, said: dict[str, Any]) -> Any:
    def make(settings: object) -> Any:
        from tests.tone_backend import ToneBackend

        fields: dict[str, Any] = {
            "available": Availability(
                **said.get("available", {"installed": True, "model_version": "1"})
            ),
            "seconds": {Phase(phase): sec for phase, sec in said.get("seconds", {}).items()},
            "deaf": frozenset(Phase(phase) for phase in said.get("deaf", [])),
        }
        if "offers" in said:
            fields["offers"] = tuple(TaskOffer(name) for name in said["offers"])
        return ToneBackend(type=name, **{**said, **fields})

    return make


if __name__ == "__main__":
    main()
