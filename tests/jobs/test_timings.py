"""What is remembered of earlier runs, and what becomes of a damaged memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.jobs.timings import REMEMBERED, Timings

WORK = {Phase.ENCODING: 1.0, Phase.DIFFUSING: 10.0}


def test_nothing_learnt_means_the_models_own_estimate() -> None:
    forecast = Timings().forecast("tone", "1", WORK)
    assert forecast[Phase.DIFFUSING].seconds == 10.0
    assert not forecast[Phase.DIFFUSING].learnt


def test_learnt_rates_survive_the_process(tmp_path: Path) -> None:
    file = tmp_path / "timings.json"
    Timings(file).learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    forecast = Timings(file).forecast("tone", "1", {Phase.DIFFUSING: 20.0})
    assert forecast[Phase.DIFFUSING].seconds == pytest.approx(60.0)
    assert forecast[Phase.DIFFUSING].learnt


def test_a_phase_not_measured_yet_is_as_slow_as_its_neighbours() -> None:
    timings = Timings()
    timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    forecast = timings.forecast("tone", "1", WORK)
    assert forecast[Phase.ENCODING].seconds == pytest.approx(3.0)
    assert not forecast[Phase.ENCODING].learnt


def test_models_and_versions_are_told_apart() -> None:
    timings = Timings()
    timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    assert timings.forecast("tone", "2", WORK)[Phase.DIFFUSING].seconds == 10.0
    assert timings.forecast("bell", "1", WORK)[Phase.DIFFUSING].seconds == 10.0


def test_runs_of_like_size_count_most() -> None:
    """A fixed cost makes short runs slow for their work; a long run must not inherit that."""
    timings = Timings()
    timings.learn("tone", "1", {Phase.DECODING: 1.0}, {Phase.DECODING: 10.0})
    timings.learn("tone", "1", {Phase.DECODING: 100.0}, {Phase.DECODING: 109.0})
    short = timings.forecast("tone", "1", {Phase.DECODING: 1.0})[Phase.DECODING].seconds
    long = timings.forecast("tone", "1", {Phase.DECODING: 100.0})[Phase.DECODING].seconds
    assert short == pytest.approx(10.0, rel=0.1)
    assert long == pytest.approx(109.0, rel=0.1)


def test_old_observations_are_forgotten(tmp_path: Path) -> None:
    timings = Timings(tmp_path / "timings.json")
    for _ in range(3 * REMEMBERED):
        timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 99.0})
    for _ in range(REMEMBERED):
        timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 5.0})
    assert timings.forecast("tone", "1", WORK)[Phase.DIFFUSING].seconds == pytest.approx(5.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"observations": 3}',
        b'{"observations": {"tone/1/diffusing": [[1]]}}',
        b'{"observations": {"tone/1/diffusing": [["a", "b"]]}}',
        b'{"observations": {"tone/1/diffusing": [[0, -1], [1e999, 2]]}}',
        b'{"observations": {"tone/1/diffusing": [[1e-300, 1e300], [NaN, 1]]}}',
        b'{"observations": {"tone/1/diffusing": [[1e-300, 1e300]]}}',
        b'{"observations": {"tone/1/diffusing": [[1, 1e10], [1, -5], [1e10, 1]]}}',
        b'{"observations": {"tone/1/diffusing": {"a": 1}}}',
        b'{"observations": {"tone/1/diffusing": [[[[[[1]]]]]]}}',
        b"[" * 100_000,
        b'{"observations": ' * 1000 + b"1" + b"}" * 1000,
        b"\xff\xfe",
    ],
)
def test_a_damaged_memory_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "timings.json"
    file.write_bytes(content)
    timings = Timings(file)
    assert timings.forecast("tone", "1", WORK)[Phase.DIFFUSING].seconds == 10.0
    timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    assert Timings(file).forecast("tone", "1", WORK)[Phase.DIFFUSING].learnt


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "timings.json")
    assert Timings(tmp_path / "timings.json").forecast("tone", "1", WORK)


def test_what_killed_processes_left_is_swept_and_what_is_there_is_the_users_alone(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lofi.nvim" / "timings.json"
    Timings(file).learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    file.parent.chmod(0o755)
    for name in ("timings.json.4711.partial", ".timings.json-0123abcd.partial"):
        (file.parent / name).write_text("half")
    Timings(file)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_an_unwritable_memory_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    timings = Timings(tmp_path / "file" / "timings.json")
    timings.learn("tone", "1", WORK, {Phase.DIFFUSING: 30.0})
    assert timings.forecast("tone", "1", WORK)[Phase.DIFFUSING].seconds == pytest.approx(30.0)
