"""Lines out of chunks, and a writer that neither waits nor hoards."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_daemon.errors import ParseError
from lofi_daemon.lines import MAX_LINE_BYTES, parse_line, split_lines
from lofi_daemon.rpc.stdio import MessageWriter


def lines_of(*chunks: bytes) -> list[bytes | None]:
    remaining: Iterator[bytes] = iter([*chunks, b""])
    return list(split_lines(lambda: next(remaining)))


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_lines_do_not_depend_on_how_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges) if data[a:b]]
    whole = data.split(b"\n")
    assert lines_of(*chunks) == (whole if whole[-1] else whole[:-1])


def test_a_line_of_exactly_the_limit_is_kept_and_one_more_byte_is_not() -> None:
    longest = b"x" * MAX_LINE_BYTES
    assert lines_of(longest + b"\nnext\n") == [longest, b"next"]
    assert lines_of(longest, b"x\nnext\n") == [None, b"next"]
    assert lines_of(*[b"y" * 70_000] * 100, b"\nnext") == [None, b"next"]
    assert lines_of(*[b"y" * 70_000] * 100) == [None]


@pytest.mark.parametrize("line", [None, b"", b"NaN", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_what_cannot_be_parsed(line: bytes | None) -> None:
    with pytest.raises(ParseError):
        parse_line(line)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # one that the test closed itself
            os.close(descriptor)


def test_messages_leave_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = MessageWriter(writing, on_broken=lambda: None)
    writer.start()
    for number in range(100):
        writer.send(b"%d\n" % number)
    writer.close(5.0)
    assert os.read(reading, 4096).split() == [b"%d" % number for number in range(100)]


def test_progress_is_thinned_only_while_nobody_reads(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = MessageWriter(writing, on_broken=lambda: None)
    writer.start()
    for number in range(20_000):
        writer.send(b'{"progress":%6d}%s\n' % (number, b" " * 80), replaces="progress")
    writer.send(b"the end\n")
    received = bytearray()

    def read() -> None:
        while not received.endswith(b"the end\n"):
            received.extend(os.read(reading, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(20)
    writer.close(5.0)
    lines = received.split(b"\n")
    assert len(received) < 2 * MessageWriter.THIN_BYTES
    numbers = [int(line[12:18]) for line in lines[:-2]]
    assert numbers == sorted(numbers)
    assert numbers[:1000] == list(range(1000))
    assert numbers[-1] == 19_999


def test_sending_never_waits_and_room_is_told(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = MessageWriter(writing, on_broken=lambda: None)
    writer.start()
    began = time.monotonic()
    for _ in range(40):
        writer.send(b"x" * 65_536)
    assert time.monotonic() - began < 1.0
    assert not writer.wait_for_room(0.05)
    taken = 0
    while taken < 40 * 65_536 - MessageWriter.FULL_BYTES // 2:
        taken += len(os.read(reading, 65_536))
    assert writer.wait_for_room(5.0)


def test_a_client_that_is_gone(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    broken = threading.Event()
    writer = MessageWriter(writing, on_broken=broken.set)
    writer.start()
    os.close(reading)
    writer.send(b"hello\n")
    assert broken.wait(5.0)
    writer.send(b"anybody?\n")
    assert writer.wait_for_room(0.0)
    writer.close(1.0)
