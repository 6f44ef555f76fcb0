"""The command line with backends that play notes: `python -m tests.tone_terminal radio …`.

LOFI_TEST_BACKENDS holds the JSON object that tone_daemon takes as its argument.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from lofi_daemon import cli
from lofi_daemon.backends.registry import Registry
from lofi_daemon.commands import generate
from lofi_daemon.terminal import files, radio
from tests.tone_daemon import factory


def main() -> None:
    backends = json.loads(os.environ.get("LOFI_TEST_BACKENDS", '{"demo": {}}'))
    factories = {name: factory(name, said) for name, said in backends.items()}
    files.Registry = radio.Registry = generate.Registry = partial(Registry, factories=factories)
    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
