"""A batch on a Ray cluster of this machine, in its own process as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.batch.conftest import WriteSongs

# A loaded machine takes a while for what takes seconds.
PATIENCE_SEC = 600.0
COMMAND = [sys.executable, "-P", "-m", "lofi_daemon", "batch"]


def environment(folder: Path) -> dict[str, str]:
    own = {"HOME": str(folder), "LOFI_THREADS": "1", "RAY_TMPDIR": "/tmp"}
    return {**os.environ, **own}


def sounds(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("??/*.flac")}


def results_of(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def musicians(driver: psutil.Process) -> list[psutil.Process]:
    return [
        each for each in driver.children(recursive=True) if "MapWorker" in " ".join(each.cmdline())
    ]


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, write_songs: WriteSongs) -> None:
    """Bytes as of one process; nothing twice; and nothing is left running."""
    songs = [
        {"prompt": f"rain {number}", "duration_sec": 5, "backend": "demo", "inference_steps": 2}
        for number in range(20)
    ]
    file = write_songs(*songs, "not json")
    alone, together = tmp_path / "alone", tmp_path / "together"
    plain = subprocess.run(
        [*COMMAND, str(file), "--output", str(alone)],
        env=environment(tmp_path),
        timeout=PATIENCE_SEC,
    )
    assert plain.returncode == 3
    driver = psutil.Popen(
        [*COMMAND, str(file), "--output", str(together), "--ray"], env=environment(tmp_path)
    )
    deadline = time.monotonic() + PATIENCE_SEC
    while not sounds(together) and time.monotonic() < deadline:
        time.sleep(0.1)
    victims = musicians(driver)
    assert victims
    victims[0].kill()
    family = driver.children(recursive=True)
    assert driver.wait(PATIENCE_SEC) == 3
    assert sounds(together) == sounds(alone)
    results = results_of(together)
    assert [result["status"] for result in results].count("failed") == 1
    assert len(results) == 21
    assert len({(result["line"], result["number"]) for result in results}) == 21
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


POISON = """
import sys

if any("default_worker" in each for each in sys.orig_argv):
    import os
    from lofi_daemon.batch.run import Batch

    make = Batch._make_one

    def make_or_die(self, resolved, began, cancel):
        if resolved.recipe.request.prompt == "poison":
            os._exit(1)
        return make(self, resolved, began, cancel)

    Batch._make_one = make_or_die
"""


@pytest.mark.soak
def test_a_song_that_ends_its_worker_is_named_and_the_rest_is_made(
    tmp_path: Path, write_songs: WriteSongs
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    short = {"duration_sec": 5, "backend": "demo", "inference_steps": 1}
    songs = [{"prompt": f"rain {number}", **short} for number in range(9)]
    songs.insert(4, {"prompt": "poison", "id": "p", **short})
    wrong = ["not json", '{"prompt": ""}', '{"prompt": "x", "backend": "nonsense"}']
    file, output = write_songs(*songs, *wrong), tmp_path / "library"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*COMMAND[:1], *COMMAND[2:], str(file), "--output", str(output), "--ray"],
        env={**environment(tmp_path), "PYTHONPATH": path},
        timeout=PATIENCE_SEC,
    )
    assert done.returncode == 3
    results = results_of(output)
    assert len({(result["line"], result["number"]) for result in results}) == len(results) == 13
    failed = {result["line"]: result["code"] for result in results if result["status"] == "failed"}
    assert set(failed) == {5, 11, 12, 13}
    assert failed[5] == "WORKER_DIED"
    assert len(sounds(output)) == 9
    assert len((output / "failed.jsonl").read_text().splitlines()) == 4


def test_without_ray_nothing_of_it_is_imported(tmp_path: Path, write_songs: WriteSongs) -> None:
    file = write_songs({"prompt": "rain", "duration_sec": 5, "backend": "demo"})
    code = (
        "import sys\n"
        "from lofi_daemon.cli import run\n"
        "run(sys.argv[1:])\n"
        "assert not {'ray', 'pyarrow'} & set(sys.modules)\n"
    )
    arguments = ["batch", str(file), "--output", str(tmp_path / "out"), "--check"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment(tmp_path))
    assert done.returncode == 0


def test_where_ray_is_missing_it_says_what_brings_it(
    tmp_path: Path, write_songs: WriteSongs
) -> None:
    file = write_songs({"prompt": "rain", "duration_sec": 5, "backend": "demo"})
    code = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        "from lofi_daemon.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    arguments = ["batch", str(file), "--output", str(tmp_path / "out"), "--ray"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "lofi-daemon[cluster]" in done.stderr


def test_a_library_at_a_uri(tmp_path: Path, write_songs: WriteSongs) -> None:
    file = write_songs({"prompt": "rain", "duration_sec": 5, "backend": "demo", "seed": 1})
    folder = tmp_path / "library"
    for uri in (folder.as_uri(), folder.as_uri()):
        done = subprocess.run(
            [*COMMAND, str(file), "--output", uri], env=environment(tmp_path), timeout=PATIENCE_SEC
        )
        assert done.returncode == 0
    (result,) = results_of(folder)
    assert result["status"] == "there"
    assert len(sounds(folder)) == 1
    assert json.loads((folder / "batch.json").read_text())["there"] == 1
