"""A library in an object store: an S3 server on the loopback interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import fs

from lofi_daemon.backends.registry import Registry
from lofi_daemon.batch.library import library_at
from lofi_daemon.batch.results import Results
from lofi_daemon.batch.run import Batch, Plan
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ConfigurationError
from tests.batch.conftest import WriteSongs


def carry_out(registry: Registry, file: Path, uri: str) -> tuple[Plan, dict[str, int]]:
    library = library_at(uri)
    batch = Batch(registry, file, library)
    plan = batch.plan(CancelToken())
    library.prepare()
    with library.notes() as notes, Results(notes) as results:
        batch.make(plan, results, lambda _: None, CancelToken())
    return plan, dict(results.counts)


def test_tracks_go_to_a_bucket_and_are_found_there(
    registry: Registry, write_songs: WriteSongs, store: str, tmp_path: Path
) -> None:
    bucket, _ = fs.FileSystem.from_uri(f"s3://shop?{store}&allow_bucket_creation=true")
    bucket.create_dir("shop")
    uri = f"s3://shop/library?{store}"
    file = write_songs(*({"prompt": f"{number}", "duration_sec": 5.0} for number in range(3)))
    assert carry_out(registry, file, uri)[1] == {"made": 3}
    plan, counts = carry_out(registry, file, uri)
    assert (plan.there, plan.to_make, counts) == (3, 0, {"there": 3})
    # the same bytes as in a folder, and what the batch says of itself
    folder = tmp_path / "folder"
    carry_out(registry, file, str(folder))
    for track in folder.glob("??/*.flac"):
        name = track.relative_to(folder).as_posix()
        with bucket.open_input_stream(f"shop/library/{name}") as there:
            assert there.read() == track.read_bytes()
    with bucket.open_input_stream("shop/library/batch.json") as there:
        assert json.loads(there.read())["there"] == 3


def test_a_bucket_that_is_not_there_is_named(store: str) -> None:
    with pytest.raises(ConfigurationError, match="s3://nowhere/library"):
        library_at(f"s3://nowhere/library?{store}").prepare()
