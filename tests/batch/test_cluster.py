"""A batch on a Ray cluster of this machine, in its own process as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyarrow import fs

from lofi_daemon.batch.cluster import BLOCKS_EACH
from tests.batch.conftest import AWS, WriteSongs
from tests.batch.ray_session import PATIENCE_SEC, RaySession

COMMAND = [sys.executable, "-P", "-m", "lofi_daemon", "batch"]
# What Ray's own processes may take to notice that their driver has ended.
RAY_ENDS_SEC = 60.0


@pytest.fixture(scope="module")
def session() -> Iterator[RaySession]:
    """Two machines of one processor."""
    with RaySession(2, AWS) as session:
        yield session


@pytest.fixture
def making(session: RaySession) -> Iterator[RaySession]:
    """The session, with nothing noted and nobody at work."""
    session.forget_makings()
    yield session
    until(lambda: not session.musicians)


def songs(count: int, **options: Any) -> list[dict[str, Any]]:
    said = {"duration_sec": 5, "backend": "demo", "inference_steps": 1, **options}
    return [{"prompt": f"rain {number}", **said} for number in range(count)]


def alone(file: Path, output: Path, session: RaySession) -> dict[str, bytes]:
    """What one process makes of the file."""
    command = [*COMMAND, str(file), "--output", str(output)]
    subprocess.run(command, env=session.environment, timeout=PATIENCE_SEC)
    return sounds(output)


def batch(file: Path, output: Path | str, session: RaySession, **pipes: Any) -> psutil.Popen:
    """Started on the cluster."""
    command = [*COMMAND, str(file), "--output", str(output), "--ray", session.address]
    return psutil.Popen(command, env=session.environment, **pipes)


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sounds(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("??/*.flac")}


def results_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def each_once(results: list[dict[str, Any]]) -> bool:
    return len({(result["line"], result["number"]) for result in results}) == len(results)


@pytest.mark.soak
def test_a_worker_that_is_killed_costs_nothing(
    making: RaySession, tmp_path: Path, write_songs: WriteSongs
) -> None:
    """On two machines: the bytes are those of one process, and nothing is told twice."""
    count, killed_at = 60, 20
    file, output = write_songs(*songs(count), "not json"), tmp_path / "together"
    driver = batch(file, output, making)
    until(lambda: len(making.makings) >= killed_at)
    victim = making.musicians[0]
    victim.kill()
    assert driver.wait(PATIENCE_SEC) == 3
    results = results_of(output)
    assert len(results) == count + 1
    assert each_once(results)
    assert [result["status"] for result in results].count("failed") == 1
    made = [track for track, _ in making.makings]
    assert len(set(made)) == count
    assert len(made) - count <= 8
    assert len({raylet for _, raylet in making.makings}) == 2
    assert sounds(output) == alone(file, tmp_path / "alone", making)


@pytest.mark.parametrize(
    ("count", "killed_at"), [(12, 3), pytest.param(60, 20, marks=pytest.mark.soak)]
)
def test_a_command_that_is_killed_goes_on_where_it_was(
    making: RaySession,
    tmp_path: Path,
    write_songs: WriteSongs,
    store: str,
    count: int,
    killed_at: int,
) -> None:
    """On two machines and into an object store: the bytes are those of one process and a folder."""
    bucket, _ = fs.FileSystem.from_uri(f"s3://shop?{store}&allow_bucket_creation=true")
    bucket.create_dir("shop")
    file, output = write_songs(*songs(count)), f"s3://shop/library?{store}"
    first = batch(file, output, making)
    until(lambda: len(making.makings) >= killed_at)
    first.kill()
    first.wait()
    assert batch(file, output, making).wait(PATIENCE_SEC) == 0

    def stored(name: str) -> bytes:
        with bucket.open_input_stream(f"shop/library/{name}") as there:
            return there.read()

    results = [json.loads(line) for line in stored("results.jsonl").splitlines()]
    assert len(results) == count
    assert each_once(results)
    assert {result["status"] for result in results} == {"made", "there"}
    made = [track for track, _ in making.makings]
    assert len(set(made)) == count
    assert len(made) - count <= 10
    assert len({raylet for _, raylet in making.makings}) == 2
    same = alone(file, tmp_path / "alone", making)
    assert len(same) == count
    for name, content in same.items():
        assert stored(f"{name[:2]}/{name}") == content


def test_who_interrupts_it_does_not_wait_for_a_block(
    making: RaySession, tmp_path: Path, write_songs: WriteSongs
) -> None:
    """Of eight songs, as all of these are."""
    file = write_songs(*songs(8 * 2 * BLOCKS_EACH, duration_sec=20, inference_steps=2))
    with (tmp_path / "errors").open("wb") as errors:
        driver = batch(file, tmp_path / "library", making, stderr=errors)
    until(lambda: making.makings)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(PATIENCE_SEC) == 130
    assert len(making.makings) < 8
    assert b"local Ray instance" not in (tmp_path / "errors").read_bytes()


@pytest.mark.soak
def test_a_song_that_ends_its_worker_is_named_and_the_rest_is_made(
    making: RaySession, tmp_path: Path, write_songs: WriteSongs
) -> None:
    wanted = songs(56)
    wanted.insert(4, {**wanted[0], "prompt": "poison", "id": "p"})
    wrong = ["not json", '{"prompt": ""}', '{"prompt": "x", "backend": "nonsense"}']
    file, output = write_songs(*wanted, *wrong), tmp_path / "library"
    assert batch(file, output, making).wait(PATIENCE_SEC) == 3
    results = results_of(output)
    assert len(results) == 60
    assert each_once(results)
    failed = {result["line"]: result["code"] for result in results if result["status"] == "failed"}
    assert set(failed) == {5, 58, 59, 60}
    assert failed[5] == "WORKER_DIED"
    assert len(sounds(output)) == 56
    assert len((output / "failed.jsonl").read_text().splitlines()) == 4


@pytest.fixture
def short_folder() -> Iterator[str]:
    """For sockets, whose names have little room; nothing of another cluster is found there."""
    with tempfile.TemporaryDirectory(prefix="lofi-", ignore_cleanup_errors=True) as folder:
        yield folder


OWN_SESSION = """
import sys
from lofi_daemon.batch.cluster import Cluster
from lofi_daemon.config import Settings
cluster = Cluster(Settings(), "auto")
import ray
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
cluster.close()
"""
STRANGER = """
import sys
import ray
ray.init(address=sys.argv[1], logging_level="ERROR")
print("let in", ray.cluster_resources())
"""


def test_a_cluster_of_our_own_asks_for_its_token_and_tells_nobody(
    tmp_path: Path, short_folder: str
) -> None:
    """And it is gone when the batch is."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    inherited["RAY_TMPDIR"] = short_folder
    keeper = psutil.Popen(
        [sys.executable, "-P", "-c", OWN_SESSION],
        env={**inherited, "HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    address = keeper.stdout.readline().decode().strip()
    family = keeper.children(recursive=True)
    asked = [sys.executable, "-P", "-c", STRANGER, address]
    for name, variables in (
        ("without", {"RAY_AUTH_MODE": "disabled"}),
        ("with another", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}),
    ):
        home = {"HOME": str(tmp_path / name), **variables}
        refused = subprocess.run(
            asked, env={**inherited, **home}, capture_output=True, timeout=PATIENCE_SEC
        )
        assert refused.returncode != 0, name
        assert b"let in" not in refused.stdout, name
    friend = {**inherited, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    assert subprocess.run(asked, env=friend, timeout=PATIENCE_SEC).returncode == 0
    assert family
    told = [process.environ() for process in family]
    told = [each for each in told if each]  # some write their title over what they were told
    assert told
    assert {each["RAY_USAGE_STATS_ENABLED"] for each in told} == {"0"}
    keeper.stdin.close()
    assert keeper.wait(PATIENCE_SEC) == 0
    _, alive = psutil.wait_procs(family, timeout=RAY_ENDS_SEC)
    assert alive == []


def test_without_ray_nothing_of_it_is_imported(tmp_path: Path, write_songs: WriteSongs) -> None:
    file = write_songs(*songs(1))
    code = (
        "import sys\n"
        "from lofi_daemon.cli import run\n"
        "run(sys.argv[1:])\n"
        "assert not {'ray', 'pyarrow'} & set(sys.modules)\n"
    )
    arguments = ["batch", str(file), "--output", str(tmp_path / "out"), "--check"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=at_home(tmp_path))
    assert done.returncode == 0


def test_where_ray_is_missing_it_says_what_brings_it(
    tmp_path: Path, write_songs: WriteSongs
) -> None:
    file = write_songs(*songs(1))
    code = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        "from lofi_daemon.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    arguments = ["batch", str(file), "--output", str(tmp_path / "out"), "--ray"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=at_home(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "lofi-daemon[cluster]" in done.stderr


def test_a_library_at_a_uri(tmp_path: Path, write_songs: WriteSongs) -> None:
    file = write_songs(*songs(1))
    folder = tmp_path / "library"
    for uri in (folder.as_uri(), folder.as_uri()):
        done = subprocess.run(
            [*COMMAND, str(file), "--output", uri], env=at_home(tmp_path), timeout=PATIENCE_SEC
        )
        assert done.returncode == 0
    (result,) = results_of(folder)
    assert result["status"] == "there"
    assert len(sounds(folder)) == 1
    assert json.loads((folder / "batch.json").read_text())["there"] == 1


def at_home(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder), "LOFI_THREADS": "1"}
