"""Stopping work in another thread."""

from __future__ import annotations

import pytest

from lofi_daemon.cancellation import Cancelled, CancelToken


def test_the_callback_of_a_running_call_is_called_once_and_only_then() -> None:
    token, called = CancelToken(), list[str]()
    with token.on_cancel(lambda: called.append("over")):
        pass
    with token.on_cancel(lambda: called.append("running")):
        token.cancel()
    token.cancel()
    assert called == ["running"]


def test_a_cancelled_token_raises_wherever_it_is_asked() -> None:
    token = CancelToken()
    token.raise_if_cancelled()
    token.cancel()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()
    with pytest.raises(Cancelled), token.on_cancel(lambda: None):
        pytest.fail("entered")
