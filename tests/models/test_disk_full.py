"""A disk that is too small, and one that becomes full on the way. Real ones: a tmpfs of 3 MB,
mounted in a namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.models.conftest import assert_installed, published_files
from tests.models.hub_server import HubServer
from tests.system import NAMESPACE, require_mounts

ROOT = Path(__file__).parents[2]

FILLED_AND_FREED = """
{download} < <(sleep 60) > first & first=$!
until ls disk/model/.download/*weights.bin.*.part 2>/dev/null; do sleep 0.05; done
head -c 3000000 /dev/zero > disk/other 2>/dev/null
wait $first
ls disk/model > seen
rm disk/other
{download} < <(sleep 60) > second
cp -r disk/model kept
"""

TOO_SMALL = """
head -c 2500000 /dev/zero > disk/other
{download} < <(sleep 60) > first
"""


def _on_small_disk(script: str, hub_server: HubServer, folder: Path) -> None:
    """Run a script in `folder`, where `disk` is a tmpfs of 3 MB."""
    require_mounts()
    (folder / "disk").mkdir()
    published = ROOT / "src/lofi_daemon/backends/ace_step/published.json"
    download = f"{sys.executable} -m lofi_daemon.models {published} disk/model"
    subprocess.run(
        [
            *(*NAMESPACE, "bash", "-c"),
            "mount -t tmpfs -o size=3m none disk;" + script.format(download=download),
        ],
        cwd=folder,
        check=True,
        timeout=60,
        env={
            **os.environ,
            "HF_ENDPOINT": hub_server.endpoint,
            "PYTHONPATH": str(ROOT / "src"),
        },
    )


def _last_word(path: Path) -> dict[str, dict[str, str]]:
    return json.loads(path.read_text().splitlines()[-1])


def test_a_disk_that_becomes_full_is_named_and_the_download_goes_on_when_there_is_room(
    hub_server: HubServer, tmp_path: Path
) -> None:
    hub = hub_server.serve(published_files(1_000_000))
    hub.bytes_per_sec = 1_000_000
    _on_small_disk(FILLED_AND_FREED, hub_server, tmp_path)
    error = _last_word(tmp_path / "first")["error"]
    assert "disk is full" in error["message"]
    assert "disk/model" in error["message"]
    assert "Free some space" in error["hint"]
    assert (tmp_path / "seen").read_text() == ""
    assert _last_word(tmp_path / "second") == {"complete": True}
    assert_installed(tmp_path / "kept", hub.files)
    assert hub.bytes_sent <= 1.1 * sum(map(len, hub.files.values()))


def test_too_little_room_is_seen_before_anything_is_fetched(
    hub_server: HubServer, tmp_path: Path
) -> None:
    hub = hub_server.serve(published_files(1_000_000))
    _on_small_disk(TOO_SMALL, hub_server, tmp_path)
    error = _last_word(tmp_path / "first")["error"]
    assert "needs 1.3 MB" in error["message"]
    assert "0.6 MB are free" in error["message"]
    assert hub.bytes_sent == 0
