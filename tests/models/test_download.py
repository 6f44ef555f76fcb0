"""Downloads against a Hub that behaves, and against one that does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from lofi_daemon.models import store
from tests.models.conftest import Start, assert_installed, published_files
from tests.models.download_child import Outcome
from tests.models.hub_server import COMMIT, HubRepository, HubServer

Download = Callable[..., Outcome]

WEIGHTS = "ace-step/transformer_decoder_weights.bin"
SMALL = "ace-step/tokenizer.json"


def test_everything_arrives_and_is_recorded(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    outcome = download_model(tmp_path / "model")
    assert outcome.error is None
    assert_installed(tmp_path / "model", hub.files)
    record = json.loads((tmp_path / "model/installed.json").read_text())
    assert record["source"] == f"willibrandon/lofi-models/ace-step@{COMMIT}"
    assert "Apache-2.0" in record["licence"]
    assert store.inspect(tmp_path / "model") == []


def test_progress_counts_files_components_and_bytes(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    hub.bytes_per_sec = 2_000_000
    progress = download_model(tmp_path / "model").progress
    total = sum(map(len, hub.files.values()))
    assert {each.bytes_total for each in progress} == {total}
    counted = [each.bytes_downloaded for each in progress]
    assert counted == sorted(counted)
    assert counted[-1] == total
    assert any(0 < each.component_percent < 100 for each in progress)
    assert (progress[-1].overall_percent, progress[-1].files_completed) == (100, 7)


def test_what_is_whole_is_not_fetched_again(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    download_model(tmp_path / "model")
    hub.forget_traffic()
    outcome = download_model(tmp_path / "model")
    assert outcome.error is None
    assert hub.bytes_sent == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: contents[:-1],
        lambda contents: contents[:500] + bytes([contents[500] ^ 1]) + contents[501:],
        lambda contents: b"something else",
        None,
    ],
    ids=["truncated", "flipped", "replaced", "missing"],
)
@pytest.mark.parametrize("name", ["tokenizer.json", "text_encoder.onnx"])
def test_a_repair_fetches_the_damaged_file_and_no_other(
    hub: HubRepository,
    download_model: Download,
    tmp_path: Path,
    name: str,
    damage: Callable[[bytes], bytes] | None,
) -> None:
    folder = tmp_path / "model"
    download_model(folder)
    hub.forget_traffic()
    if damage is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
    assert download_model(folder).error is None
    assert_installed(folder, hub.files)
    assert hub.body_bytes_sent == {f"ace-step/{name}": len(hub.files[f"ace-step/{name}"])}


def test_a_repair_takes_the_version_that_was_installed(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    download_model(folder)
    (folder / "vocoder.onnx").unlink()
    hub.forget_traffic()
    download_model(folder)
    assert all("/main/" not in request for request in hub.requests)


def test_files_put_there_by_hand_are_recognised(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / Path(WEIGHTS).name).write_bytes(hub.files[WEIGHTS])
    assert download_model(folder).error is None
    assert_installed(folder, hub.files)
    assert WEIGHTS not in hub.body_bytes_sent


@pytest.mark.parametrize(
    "faults",
    [
        ["500"],
        ["500 on description"],
        ["truncated"],
        ["disconnect", "disconnect", "disconnect"],
        ["stall"],
        ["wrong bytes"],
        ["disconnect", "no range"],
        ["disconnect", "wrong range"],
    ],
    ids="+".join,
)
def test_trouble_on_the_way_is_overcome(
    hub: HubRepository, download_model: Download, tmp_path: Path, faults: list[str]
) -> None:
    hub.fail(WEIGHTS, *faults)
    outcome = download_model(tmp_path / "model")
    assert outcome.error is None
    assert not hub.faults[WEIGHTS]
    assert_installed(tmp_path / "model", hub.files)


def test_a_broken_connection_costs_nothing_twice(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    hub.fail(WEIGHTS, "disconnect", "disconnect", "disconnect")
    download_model(tmp_path / "model")
    assert hub.bytes_sent <= 1.01 * sum(map(len, hub.files.values()))


@pytest.mark.parametrize(
    ("path", "fault", "words"),
    [
        (WEIGHTS, ["500"] * 9, ["HTTP 500", "goes on where it stopped"]),
        (WEIGHTS, ["404"], ["transformer_decoder_weights.bin", "HTTP 404"]),
        (SMALL, ["401"], ["HF_TOKEN"]),
        (SMALL, ["403"], ["accept", "HF_TOKEN"]),
        (WEIGHTS, ["wrong bytes"] * 2, ["wrong checksum", "transformer_decoder_weights.bin"]),
        (SMALL, ["wrong bytes"] * 2, ["wrong checksum", "tokenizer.json"]),
    ],
    ids=["500s", "404", "401", "403", "wrong bytes", "wrong small file"],
)
def test_what_cannot_be_overcome_is_said_and_the_next_attempt_completes(
    hub: HubRepository,
    download_model: Download,
    tmp_path: Path,
    path: str,
    fault: list[str],
    words: list[str],
) -> None:
    folder = tmp_path / "model"
    hub.fail(path, *fault)
    outcome = download_model(folder)
    assert outcome.error is not None
    name, message, hint, _ = outcome.error
    assert name == "MODEL_DOWNLOAD_FAILED"
    assert all(word in f"{message} {hint}" for word in words), (message, hint)
    assert not (folder / Path(path).name).exists()
    hub.faults.clear()
    assert download_model(folder).error is None
    assert_installed(folder, hub.files)


def test_contents_that_changed_under_a_commit_are_fetched_anew(
    hub: HubRepository, start_download: Start, download_model: Download, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    hub.bytes_per_sec = 1_000_000
    process, _ = start_download(folder)
    _wait_until(lambda: hub.body_bytes_sent.get(WEIGHTS, 0) > 200_000)
    process.kill()
    process.join()
    hub.bytes_per_sec = None
    hub.fail(WEIGHTS, "new contents")
    assert download_model(folder).error is None
    assert_installed(folder, hub.files)


def test_a_download_goes_on_at_the_commit_it_began_with(
    hub: HubRepository, start_download: Start, download_model: Download, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    hub.bytes_per_sec = 1_000_000
    process, _ = start_download(folder)
    _wait_until(lambda: WEIGHTS in hub.body_bytes_sent)
    process.kill()
    process.join()
    hub.bytes_per_sec = None
    hub.forget_traffic()
    assert download_model(folder).error is None
    assert all("/main/" not in request for request in hub.requests)


def test_a_token_goes_to_the_hub_and_to_nobody_else(
    hub: HubRepository, download_model: Download, tmp_path: Path
) -> None:
    hub.needs_token = "hf_secret"
    assert download_model(tmp_path / "model").error is not None
    assert download_model(tmp_path / "model", environment={"HF_TOKEN": "hf_secret"}).error is None
    assert hub.tokens_leaked == 0


def test_two_at_once_do_not_disturb_each_other(
    hub: HubRepository, start_download: Start, tmp_path: Path
) -> None:
    hub.bytes_per_sec = 150_000
    folder = tmp_path / "model"
    _, first = start_download(folder)
    _wait_until(lambda: hub.bytes_sent > 100_000)
    _, second = start_download(folder)
    refused = second().error
    assert refused is not None
    assert "Another process" in refused[1]
    assert first().error is None
    assert_installed(folder, hub.files)


def test_another_repository_lists_its_own_files(
    hub_server: HubServer, download_model: Download, tmp_path: Path
) -> None:
    files = {"one.onnx": Random(1).randbytes(5_000), "one.onnx.data": Random(2).randbytes(9_000)}
    listing = {name: {"bytes": len(body), "sha256": _sha256(body)} for name, body in files.items()}
    files["manifest.json"] = json.dumps({"interface": 1, "files": listing}).encode()
    hub_server.serve({f"sub/{name}": body for name, body in files.items()})
    outcome = download_model(tmp_path / "model", repository="somebody/else/sub@main")
    assert outcome.error is None
    assert_installed(tmp_path / "model", files)


def test_another_repository_without_a_list_has_the_known_names(
    hub_server: HubServer, download_model: Download, tmp_path: Path
) -> None:
    files = {Path(path).name: body for path, body in published_files(5_000).items()}
    hub_server.serve(files)
    assert download_model(tmp_path / "model", repository="somebody/else").error is None
    assert_installed(tmp_path / "model", files)


def test_killed_at_twenty_instants_it_completes_without_fetching_twice(
    hub_server: HubServer, start_download: Start, download_model: Download, tmp_path: Path
) -> None:
    hub = hub_server.serve(published_files(16_000_000))
    hub.bytes_per_sec = 8_000_000
    folder = tmp_path / "model"
    random = Random(20)
    for _ in range(20):
        process, _ = start_download(folder)
        requests_before = len(hub.requests)
        _wait_until(lambda before=requests_before: len(hub.requests) > before)
        time.sleep(random.uniform(0.0, 0.12))
        process.kill()
        process.join()
        for path in hub.files:
            assert not (folder / Path(path).name).exists() or store.expected_files(folder)
    hub.bytes_per_sec = None
    assert download_model(folder).error is None
    assert_installed(folder, hub.files)
    assert hub.bytes_sent <= 1.1 * sum(map(len, hub.files.values()))


def _sha256(body: bytes) -> str:
    import hashlib

    return hashlib.sha256(body).hexdigest()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in 20 s"
        time.sleep(0.005)
