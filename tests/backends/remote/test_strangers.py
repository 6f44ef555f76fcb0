"""Whatever is at the other end: a named error and no track, soon, and nothing left running."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lofi_daemon.backends.remote import peer
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import (
    InternalError,
    LofiError,
    ModelInferenceFailed,
    ModelLoadFailed,
    QueueFull,
    RemoteUnavailable,
)
from lofi_daemon.sound.clip import AudioClip
from tests.backends.remote.conftest import BoxMachine, MakeRemote, request
from tests.tone_backend import ToneBackend


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """What the box has made: noise, so that it is not small."""
    noise = np.random.default_rng(1).uniform(-0.99, 0.99, (5 * 48000, 2))
    soundfile.write(tmp_path / "track.flac", noise, 48000, subtype="PCM_16")
    return tmp_path / "track.flac"


def made(remote: MakeRemote, command: list[str]) -> AudioClip:
    backend = remote(command, "flac", ToneBackend())
    backend.load(CancelToken(), lambda _: None)
    resolved = backend.resolve(request())
    return backend.generate(resolved, on_progress=lambda _: None, cancel=CancelToken())


@pytest.mark.parametrize("kind", ["good", "banner"])
def test_one_that_is_as_it_should_be(
    box: BoxMachine, remote: MakeRemote, track: Path, kind: str
) -> None:
    clip = made(remote, box.fake(kind, str(track)))
    expected = soundfile.read(track, dtype="int16")[0]
    np.testing.assert_array_equal(np.rint(clip.samples.T * 32767), expected)


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("refuses", RemoteUnavailable, "gpubox: Permission denied (publickey)."),
        ("garbage", RemoteUnavailable, "command not found"),
        ("long line", RemoteUnavailable, "longer than 1048576 bytes"),
        ("endless line", RemoteUnavailable, "longer than 1048576 bytes"),
        ("old protocol", ModelLoadFailed, "is 0.1.0, protocol 0"),
        ("no terms", ModelLoadFailed, "is 0.1.0, protocol 1"),
        ("strange answer", RemoteUnavailable, "makes no sense"),
        ("strange list", RemoteUnavailable, "makes no sense: backends.0.sample_rate"),
        ("strange ticket", RemoteUnavailable, "makes no sense: track_id"),
        ("strange progress", RemoteUnavailable, "makes no sense: phase"),
        ("garbage later", RemoteUnavailable, "Segmentation fault"),
        ("not an object", RemoteUnavailable, "does not speak"),
        ("long line later", RemoteUnavailable, "longer than 1048576 bytes"),
        ("deep", RemoteUnavailable, "nested too deeply"),
        ("error", ModelInferenceFailed, "gpubox: The model made \\x1b]0;owned\\x07 NaN."),
        ("refusal", QueueFull, "gpubox: \\x1b[2JTen wait."),
        ("unknown error", InternalError, "gpubox: What?"),
        ("stops", RemoteUnavailable, "stopped without being asked"),
        ("other track", RemoteUnavailable, "another track"),
        ("other model", ModelLoadFailed, "tone-2"),
        ("no tracks_read", ModelLoadFailed, "too old"),
        ("half", RemoteUnavailable, "50000 of"),
        ("wrong hash", RemoteUnavailable, "its checksum is another"),
        ("huge", RemoteUnavailable, "is said to have 1099511627776 bytes"),
        ("empty", RemoteUnavailable, "have 0 bytes"),
        ("changes", RemoteUnavailable, "changed on the way"),
        ("not base64", RemoteUnavailable, "not in base64"),
        ("too much", RemoteUnavailable, "0 of 10 bytes"),
    ],
)
def test_each_fault_has_a_name(
    box: BoxMachine,
    remote: MakeRemote,
    track: Path,
    kind: str,
    error: type[LofiError],
    says: str,
) -> None:
    with pytest.raises(error) as raised:
        made(remote, box.fake(kind, str(track)))
    assert type(raised.value) is error
    assert says in raised.value.message
    assert "gpubox" in raised.value.message
    assert raised.value.hint
    assert "\x1b" not in raised.value.message


def test_a_model_of_another_rate(box: BoxMachine, remote: MakeRemote) -> None:
    backend = remote(box.fake("other rate"), "flac", ToneBackend())
    backend.load(CancelToken(), lambda _: None)
    assert "44100 Hz" in (backend.availability().error or "")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no sound at all", "cannot be read"), (None, "frames of PCM_16"), (b"cut", "")],
)
def test_a_file_that_is_not_that_track(
    box: BoxMachine,
    remote: MakeRemote,
    track: Path,
    tmp_path: Path,
    content: bytes | None,
    says: str,
) -> None:
    if content is None:
        soundfile.write(track, np.zeros((48000, 2)), 48000, subtype="PCM_16")
    else:
        whole = track.read_bytes()
        track.write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    with pytest.raises(RemoteUnavailable, match="did not arrive whole") as raised:
        made(remote, box.fake("good", str(track)))
    assert says in raised.value.message


@pytest.mark.parametrize("kind", ["mute", "hangs"])
def test_silence_ends_with_the_keep_alive(
    box: BoxMachine, remote: MakeRemote, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(peer, "GREETING_SEC", 10.0 if kind == "hangs" else 1.0)
    monkeypatch.setattr(peer, "PING_SEC", 0.3)
    monkeypatch.setattr(peer, "SILENCE_SEC", 1.0)
    with pytest.raises(RemoteUnavailable, match="gpubox cannot be reached: it "):
        made(remote, box.fake(kind))
    box.is_quiet()


def test_what_is_remembered_may_be_anything(
    box: BoxMachine, remote: MakeRemote, track: Path, tmp_path: Path
) -> None:
    command = box.fake("good", str(track))
    remembered = tmp_path / "remote.json"
    for content in ("{", "[]", json.dumps({"command": command, "version": 1, "backends": []})):
        remembered.write_text(content)
        assert remote(command, "flac", ToneBackend()).availability().away
    made(remote, command)
    backend = remote(command, "flac", ToneBackend())
    assert backend.availability().model_version == "tone-1"
    assert remote(box.fake("mute"), "flac", ToneBackend()).availability().away  # another machine's
