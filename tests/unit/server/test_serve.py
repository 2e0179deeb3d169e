"""What `inferd serve` chooses where no flag says it."""

from __future__ import annotations

import os

import pytest

from inferd_server import serve
from inferd_server.keys import Key
from inferd_server.settings import Settings


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (8, 1), (15, 1), (16, 2), (64, 4)])
def test_a_front_end_for_every_eight_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert serve._default_front_ends() == count


@pytest.mark.parametrize(
    ("host", "is_open"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False)]
)
def test_an_address_of_others_without_a_key_is_open(host: str, is_open: bool) -> None:
    assert Settings(host=host).is_open == is_open
    assert not Settings(host=host, keys=(Key.parse("k"),)).is_open
