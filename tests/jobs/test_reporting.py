"""Which reports are told, and how long a silence is borne, without a loop or a clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lofi_daemon.backends.protocol import Phase
from lofi_daemon.jobs.estimate import Estimate
from lofi_daemon.jobs.events import JobAdvanced
from lofi_daemon.jobs.reporting import Reporting, patience_sec

EVENT = JobAdvanced("a" * 16, "rain", 10, 1, 10, 5.0, Phase.DIFFUSING)
ESTIMATE = Estimate(Phase.ENCODING, 10, 5.0, 0, 10, silent_sec=0.0, piece_sec=0.1)


def test_the_first_look_and_every_piece_of_news_are_told() -> None:
    reporting = Reporting()
    assert reporting.look(EVENT, 0.0) == EVENT
    further = replace(EVENT, percent=11)
    assert reporting.look(further, 0.1) == further
    decoding = replace(further, phase=Phase.DECODING)
    assert reporting.look(decoding, 0.2) == decoding


def test_what_is_no_news_is_told_once_a_second() -> None:
    reporting = Reporting()
    told = [tenth for tenth in range(35) if reporting.look(EVENT, tenth / 10)]
    assert told == [0, 10, 20, 30]


def test_news_come_at_most_ten_times_a_second() -> None:
    reporting = Reporting()
    told = [reporting.look(replace(EVENT, percent=ms // 10), ms / 1000) for ms in range(0, 990, 10)]
    assert 9 <= sum(event is not None for event in told) <= 10


def test_every_step_is_told_and_percent_never_falls() -> None:
    reporting = Reporting()
    assert reporting.step(replace(EVENT, percent=20), 0.0).percent == 20
    assert reporting.step(replace(EVENT, percent=19, step=2), 0.001).percent == 20
    looked = reporting.look(replace(EVENT, percent=15), 5.0)
    assert looked is None or looked.percent == 20


@pytest.mark.parametrize("cancelled", [False, True])
def test_patience_grows_with_what_a_piece_should_take(cancelled: bool) -> None:
    quick = patience_sec(ESTIMATE, cancelled=cancelled)
    slow = patience_sec(replace(ESTIMATE, piece_sec=120.0), cancelled=cancelled)
    loading = patience_sec(replace(ESTIMATE, phase=Phase.LOADING), cancelled=cancelled)
    assert quick < slow
    assert quick < loading


def test_who_was_told_to_stop_is_waited_for_less() -> None:
    for piece_sec in (0.0, 0.1, 60.0):
        estimate = replace(ESTIMATE, piece_sec=piece_sec)
        assert patience_sec(estimate, cancelled=True) < patience_sec(estimate, cancelled=False)
