from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.player.pulse import PulseServer


@pytest.fixture(scope="session")
def pulse_server() -> Generator[PulseServer, None, None]:
    """A sound server whose sink runs at 44.1 kHz, with a listener, so that the sink is awake."""
    with PulseServer(44100) as server:
        awake = server.listen()
        yield server
        awake.stop()


@pytest.fixture
def pulse(pulse_server: PulseServer, monkeypatch: pytest.MonkeyPatch) -> PulseServer:
    """The sound server, as the only one that processes started by this test can see."""
    for name, value in pulse_server.environment.items():
        monkeypatch.setenv(name, value)
    return pulse_server
