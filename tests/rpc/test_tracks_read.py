"""A track's file in pieces over the wire."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from tests.rpc.conftest import StartDaemon


def test_pieces_make_the_file(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    ticket = daemon.request("generate", prompt="rain", duration_sec=5, seed=1, format="flac24")
    complete = daemon.final(ticket["track_id"])["params"]
    content = Path(complete["path"]).read_bytes()
    assert complete["path"].endswith(".flac")
    sums = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    asked = {"track_id": ticket["track_id"], "limit": len(content) // 3}
    pieces = b""
    while len(pieces) < len(content):
        piece = daemon.request("tracks_read", offset=len(pieces), **asked)
        pieces += base64.b64decode(piece.pop("data"))
        assert piece == sums
    assert pieces == content
    beyond = daemon.request("tracks_read", offset=1 << 70, **asked)
    assert (beyond.pop("data"), beyond) == ("", sums)


def test_what_is_refused(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    error = daemon.error("tracks_read", track_id="../../etc/passwd")
    assert error["data"]["code"] == "TRACK_NOT_FOUND"
    for wrong in ({"limit": 0}, {"limit": (1 << 19) + 1}, {"offset": -1}):
        error = daemon.error("tracks_read", track_id="0" * 16, **wrong)
        assert error["data"]["code"] == "INVALID_PARAMS"
