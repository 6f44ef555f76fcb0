"""What a start does not do: each of these is time before the first answer."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from contextlib import suppress

from pydantic import BaseModel

import lofi_daemon

STARTED = """
import json, sys
from pydantic import BaseModel
import lofi_daemon.cli, lofi_daemon.rpc.server

def kinds(base):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)

ours = [kind for kind in kinds(BaseModel) if kind.__module__.startswith("lofi_daemon")]
print(json.dumps([list(sys.modules), [f"{kind.__module__}.{kind.__name__}" for kind in ours
                                      if kind.__pydantic_complete__]]))
"""
# Needed by nobody before the first request.
LATER = ("http.client", "huggingface_hub", "numpy", "onnxruntime", "ray", "rich", "soundfile")
# The settings are checked at once, and some of a manifest's defaults are instances.
AT_ONCE = {
    "lofi_daemon.config.Settings",
    "lofi_daemon.backends.ace_step_15.bundle.Defaults",
    "lofi_daemon.backends.kit.mel_diffusion.bundle.Run",
}


def test_a_start_builds_no_model_and_imports_no_library_that_waits() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", STARTED], stdout=subprocess.PIPE, check=True)
    modules, built = json.loads(done.stdout)
    assert set(LATER) & set(modules) == set()
    assert set(built) <= AT_ONCE


def modules() -> list[str]:
    found = pkgutil.walk_packages(lofi_daemon.__path__, "lofi_daemon.")
    return [each.name for each in found if not each.name.endswith("__main__")]


def kinds(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for kind in base.__subclasses__() for each in (kind, *kinds(kind))]


def test_what_is_built_later_can_be_built() -> None:
    """A name that a model's annotations lack would be noticed only when it is first used."""
    for name in modules():
        with suppress(ImportError):  # of what another system's desktop needs
            importlib.import_module(name)
    for kind in kinds(BaseModel):
        if kind.__module__.startswith("lofi_daemon"):
            kind.model_rebuild()
            assert kind.__pydantic_complete__, kind
