"""Spans come in order, when they are there, and few of them wait."""

from __future__ import annotations

import threading

import pytest

from inferd.loading import read_ahead as module
from inferd.loading.mapped import open_mapped
from inferd.loading.read_ahead import Span, populate, read_ahead


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 64)
    return open_mapped(file)


def test_spans_come_in_order_after_their_pieces(data, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 100)
    fetched = []
    spans = [Span(data, start, 250) for start in range(0, 2000, 250)]
    for number, span in enumerate(read_ahead(spans, fetched.append)):
        assert span is spans[number]
        starts = {piece.start for piece in fetched}
        assert {span.start, span.start + 100, span.start + 200} <= starts
    assert sum(piece.size for piece in fetched) == 2000


def test_no_more_is_asked_for_than_may_wait(data, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", 1000)
    asked = []
    taken = 0

    def spans():
        for start in range(0, 5000, 250):
            assert sum(span.size for span in asked) - taken <= 1000
            asked.append(Span(data, start, 250))
            yield asked[-1]

    for span in read_ahead(spans(), lambda _: None):
        taken += span.size
    assert taken == 5000


def test_a_span_larger_than_what_may_wait_comes_alone(data, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", 100)
    spans = [Span(data, 0, 300), Span(data, 300, 300)]
    assert list(read_ahead(spans, lambda _: None)) == spans


def test_several_threads_read_at_a_time(data):
    together = threading.Barrier(2, timeout=30)
    spans = [Span(data, 0, 10), Span(data, 10, 10)]
    assert list(read_ahead(spans, lambda _: together.wait() and None)) == spans


def test_what_is_left_early_ends_its_threads(data):
    before = threading.active_count()
    reading = read_ahead([Span(data, start, 10) for start in range(100)], lambda _: None)
    next(reading)
    reading.close()
    assert threading.active_count() == before


def test_a_failure_is_raised_where_its_span_was_wanted(data):
    def fetch(span):
        if span.start:
            raise OSError("gone")

    reading = read_ahead([Span(data, 0, 10), Span(data, 10, 10)], fetch)
    assert next(reading).start == 0
    with pytest.raises(OSError, match="gone"):
        next(reading)


def test_populating_changes_nothing(data):
    populate(Span(data, 5000, 9000))
    assert data[5000:5003] == bytes([5000 % 256, 5001 % 256, 5002 % 256])
