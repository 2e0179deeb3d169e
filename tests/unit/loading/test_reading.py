"""What is said while weights are read, and when."""

from __future__ import annotations

import io

import pytest

from inferd.loading.reading import CLEAR, Reading


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def read(stream, *seconds):
    """A gigabyte in so many steps, each after its seconds."""
    times = iter([0.0, *seconds, seconds[-1]])
    with Reading(10**9, stream, lambda: next(times)) as progress:
        for step in range(len(seconds)):
            progress((step + 1) * 10**9 // len(seconds))
    return stream.getvalue()


def test_a_terminal_has_amount_rate_and_time_left():
    shown = read(Screen(), 1.0, 4.0, 4.1, 8.0).split(CLEAR)
    assert shown == [
        "",
        "weights: 0.5 of 1.0 GB, 0.12 GB/s, 4 s left",
        "weights: 1.0 of 1.0 GB, 0.12 GB/s, 0 s left",
        "",
    ]


def test_elsewhere_there_is_one_line():
    assert read(io.StringIO(), 1.0, 4.0, 8.0) == "inferd: weights: 1.0 of 1.0 GB, 0.12 GB/s, 8 s\n"


def test_no_more_is_read_than_there_is():
    """Where a loader unpacks a tensor, what it gives is larger than what is stored."""
    stream, times = Screen(), iter([0.0, 4.0, 4.0])
    with Reading(10**9, stream, lambda: next(times)) as progress:
        progress(2 * 10**9)
    assert "weights: 1.0 of 1.0 GB, 0.25 GB/s, 0 s left" in stream.getvalue()


@pytest.mark.parametrize("stream", [Screen(), io.StringIO()])
def test_what_takes_no_time_is_not_mentioned(stream):
    assert read(stream, 0.5, 1.0) == ""


def test_a_failure_is_not_called_a_success():
    stream, times = io.StringIO(), iter([0.0, 5.0, 5.0])
    with (
        pytest.raises(ValueError, match="no"),
        Reading(10, stream, lambda: next(times)) as progress,
    ):
        progress(5)
        raise ValueError("no")
    assert stream.getvalue() == ""
