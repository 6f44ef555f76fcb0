"""A daemon without work gives its models' memory back, and loads them again when work comes."""

from __future__ import annotations

import time
from pathlib import Path

from tests.daemon_process import DaemonProcess


def test_an_idle_daemon_unloads_and_loads_again(tmp_path: Path) -> None:
    environment = {"LOFI_UNLOAD_AFTER_MIN": "0.005"}  # 0.3 s
    backends = {"demo": {"seconds": {"loading": 0.05}}}
    with DaemonProcess(tmp_path, backends=backends, environment=environment) as daemon:
        phases: list[bool] = []
        for seed, pause in ((1, 0.0), (2, 1.5)):
            time.sleep(pause)
            ticket = daemon.request("generate", prompt="rain", duration_sec=5, seed=seed)
            final = daemon.final(ticket["track_id"])
            assert final["method"] == "generation_complete"
            loading = daemon.notifications(
                "generation_progress", track_id=ticket["track_id"], phase="loading"
            )
            phases.append(bool(loading))
        assert phases == [True, True]
