"""A batch in one process: what is missing is made, what is there stays, what fails is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lofi_daemon.backends.protocol import Availability, GenerationRequest, Terms
from lofi_daemon.backends.registry import Registry
from lofi_daemon.batch.library import library_at
from lofi_daemon.batch.results import Results
from lofi_daemon.batch.run import HOPELESS_AFTER, Batch, Plan, Standing
from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import CacheWriteFailed, ModelInferenceFailed
from tests.batch.conftest import WriteSongs
from tests.tone_backend import ToneBackend


@dataclass
class Outcome:
    plan: Plan
    results: list[dict[str, Any]]
    failed: list[str]
    told: list[Standing]

    def count(self, status: str) -> int:
        return sum(result["status"] == status for result in self.results)


class Counted(ToneBackend):
    """Tells how often it was asked what its files say."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def availability(self) -> Availability:
        self.asked.append("availability")
        return super().availability()

    def terms(self) -> Terms:
        self.asked.append("terms")
        return super().terms()

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        assert terms is not None
        return super().resolve(request, terms)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "library"


def carry_out(
    registry: Registry, file: Path, output: Path, cancel: CancelToken | None = None
) -> Outcome:
    library, token = library_at(str(output)), cancel or CancelToken()
    batch = Batch(registry, file, library)
    plan = batch.plan(token)
    library.prepare()
    told: list[Standing] = []
    with Results(output) as results:
        batch.make(plan, results, told.append, token)
    lines = (output / "results.jsonl").read_text().splitlines()
    failed = output / "failed.jsonl"
    return Outcome(
        plan,
        [json.loads(line) for line in lines],
        failed.read_text().splitlines() if failed.exists() else [],
        told,
    )


def files_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("??/*.flac"))}


def test_nothing_is_written_through_a_link_in_the_output(
    registry: Registry, write_songs: WriteSongs, output: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    output.mkdir()
    for name in ("results.jsonl", "failed.jsonl", "batch.json"):
        (output / name).symlink_to(precious)
    outcome = carry_out(registry, write_songs({"prompt": "rain"}, "not json"), output)
    assert (outcome.count("made"), outcome.failed) == (1, ["not json"])
    assert precious.read_text() == "precious"


def test_every_song_is_made_once(registry: Registry, write_songs: WriteSongs, output: Path) -> None:
    file = write_songs(
        {"prompt": "a", "duration_sec": 5.0, "count": 2},
        {"prompt": "b", "duration_sec": 5.0, "backend": "other", "id": "b"},
    )
    first = carry_out(registry, file, output)
    assert first.plan.to_make == 3
    assert first.count("made") == 3
    assert [now.done for now in first.told] == [0, 1, 2, 3]
    for result in first.results:
        audio = output / result["file"]
        sidecar = json.loads(audio.with_suffix(".json").read_text())
        assert audio.parent.name == result["track_id"][:2]
        assert sidecar["track_id"] == result["track_id"]
        assert sidecar["seed"] == result["seed"]
        assert sidecar["bytes"] == audio.stat().st_size
    made = files_of(output)
    again = carry_out(registry, file, output)
    assert (again.plan.there, again.plan.to_make) == (3, 0)
    assert again.count("there") == 3
    assert files_of(output) == made
    (output / first.results[0]["file"]).unlink()
    third = carry_out(registry, file, output)
    assert (third.count("made"), third.count("there")) == (1, 2)
    assert files_of(output) == made


def test_a_sidecar_without_its_sound_is_no_track(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    file = write_songs({"prompt": "a", "duration_sec": 5.0})
    (result,) = carry_out(registry, file, output).results
    with (output / result["file"]).open("ab") as audio:
        audio.truncate(100)
    assert carry_out(registry, file, output).count("made") == 1


def test_what_fails_is_named_and_the_rest_is_made(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    bad = [
        '{"prompt": "x", "duration_sec": NaN}',
        '{"prompt": "fail", "duration_sec": 5.0}',
        '{"prompt": "defect"}',
    ]
    nan = '{"prompt": "nan", "duration_sec": 5.0, "id": "n"}'
    good = [{"prompt": f"good {number}", "duration_sec": 5.0} for number in range(3)]
    file = write_songs(good[0], bad[0], bad[1], good[1], bad[2], nan, good[2])
    outcome = carry_out(registry, file, output)
    assert outcome.count("made") == 3
    assert {result["line"] for result in outcome.results if result["status"] == "failed"} == {
        2,
        3,
        5,
        6,
    }
    for result in outcome.results:
        if result["status"] == "failed":
            assert result["code"]
            assert result["message"]
    assert sorted(outcome.failed) == sorted([*bad, nan])
    assert json.loads((output / "batch.json").read_text())["failed"] == 4


def test_a_model_is_asked_once_for_all_songs(write_songs: WriteSongs, output: Path) -> None:
    """What a million lines cost: none of them looks into the model's files."""
    backend = Counted()
    registry = Registry(Settings(), {"demo": lambda _: backend})
    file = write_songs(*({"prompt": f"{number}", "duration_sec": 5.0} for number in range(200)))
    plan = Batch(registry, file, library_at(str(output))).plan(CancelToken())
    assert plan.to_make == 200
    assert backend.asked == ["availability", "terms"]


def test_two_lines_that_ask_for_one_track_make_it_once(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    line = {"prompt": "a", "duration_sec": 5.0, "seed": 1}
    outcome = carry_out(registry, write_songs(line, line), output)
    assert outcome.plan.to_make == 1
    assert (outcome.count("made"), outcome.count("there")) == (1, 1)


def test_where_all_fail_in_one_way_nobody_waits_for_the_end(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    lines = [
        {"prompt": f"fail {number}", "duration_sec": 5.0} for number in range(HOPELESS_AFTER + 5)
    ]
    with pytest.raises(ModelInferenceFailed):
        carry_out(registry, write_songs(*lines), output)
    results = (output / "results.jsonl").read_text().splitlines()
    assert len(results) == HOPELESS_AFTER


def test_a_batch_stops_at_once_and_goes_on_later(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    file = write_songs(*({"prompt": f"{number}", "duration_sec": 5.0} for number in range(4)))
    token, library = CancelToken(), library_at(str(output))
    batch = Batch(registry, file, library)
    library.prepare()

    def stop_after_two(now: Standing) -> None:
        if now.done == 2:
            token.cancel()

    with Results(output) as results, pytest.raises(Cancelled):
        batch.make(batch.plan(CancelToken()), results, stop_after_two, token)
    assert list(output.glob("??/.*")) == []
    outcome = carry_out(registry, file, output)
    assert (outcome.count("there"), outcome.count("made")) == (2, 2)


def test_a_full_disk_ends_the_run(
    registry: Registry, write_songs: WriteSongs, output: Path
) -> None:
    file = write_songs({"prompt": "a", "duration_sec": 5.0, "seed": 1})
    (result,) = carry_out(registry, file, output).results
    place = (output / result["file"]).parent
    for entry in place.iterdir():
        entry.unlink()
    place.rmdir()
    place.write_text("in the way")
    with pytest.raises(CacheWriteFailed, match="cannot be written"):
        carry_out(registry, file, output)


def test_what_a_killed_process_left_is_swept(output: Path) -> None:
    place = output / "ab"
    place.mkdir(parents=True)
    left = place / f".ab{'0' * 14}-{'1' * 8}.partial"
    left.write_bytes(b"half")
    mine = place / "notes.txt"
    mine.write_text("mine")
    library_at(str(output)).prepare()
    assert not left.exists()
    assert mine.exists()
