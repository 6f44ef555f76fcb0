"""What the tests need of the system, and what happens where it is not there.

`python tests/system.py install` (before anything of the project is installed: only the standard
library) installs the missing packages where it may: as root, or by sudo without a password, on
Debian and its kin. `python tests/system.py packages` lists them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

PACKAGES = {
    "tmux": "tmux",
    "pulseaudio": "pulseaudio",
    "pactl": "pulseaudio-utils",
    "parec": "pulseaudio-utils",
    "strace": "strace",
    "dbus-run-session": "dbus",
    "dbus-send": "dbus",
    "playerctl": "playerctl",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Debian's package of each program that a test runs."""

ABSENT = "not here: "


def require(*programs: str) -> None:
    """Leave the test out where a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = sorted({PACKAGES[program] for program in missing})
        leave_out(", ".join(packages), f"apt-get install {' '.join(packages)}")


def require_mounts() -> None:
    """Leave the test out where this user can mount nothing, not even in a namespace of its own."""
    import pytest

    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"{ABSENT}the right to mount (run as root, or allow user namespaces)")


NAMESPACE = ["unshare", "--mount"]
if sys.platform != "win32" and os.geteuid() != 0:
    NAMESPACE += ["--map-root-user"]


def leave_out(what: str, remedy: str) -> NoReturn:
    """Skip the test, saying what is missing and how to get it; in CI that is a failure."""
    import pytest

    told = f"{ABSENT}{what} ({remedy})"
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


def summary(reasons: Sequence[str]) -> str | None:
    """The line at the end: how many tests were left out, and how to have them run."""
    absent = [reason.partition(ABSENT)[2] for reason in reasons if ABSENT in reason]
    if not absent:
        return None
    return f"{len(absent)} tests were left out, needing {'; '.join(sorted(set(absent)))}."


def install() -> None:
    """Install what is missing, where that is allowed without a question."""
    missing = sorted({PACKAGES[name] for name in PACKAGES if shutil.which(name) is None})
    apt = shutil.which("apt-get")
    if not missing or apt is None:
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and (shutil.which("sudo") is None or _fails([*sudo, "true"])):
        return
    environment = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q"]
    if not _fails([*environment, "update"]):
        _fails([*environment, "install", "-y", "--no-install-recommends", *missing])


def _fails(command: list[str]) -> bool:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    return done.returncode != 0


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        install()
    else:
        print(*sorted(set(PACKAGES.values())))
