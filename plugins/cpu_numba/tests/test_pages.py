"""The first pages of a cache are there before they are written, and no others."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from pathlib import Path

import pytest
import torch

from inferd_cpu_numba import pages


def resident(memory: torch.Tensor) -> list[bool]:
    """For each whole page, whether the system has given it (mincore)."""
    start = -(-memory.data_ptr() // pages.PAGE) * pages.PAGE
    count = (memory.data_ptr() + memory.nbytes - start) // pages.PAGE
    there = (ctypes.c_ubyte * count)()
    size = ctypes.c_size_t(count * pages.PAGE)
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(start), size, there) == 0
    return [bool(page & 1) for page in there]


def untouched(size: int) -> torch.Tensor:
    """From the system itself: an allocator may have pages left from before."""
    return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)


def test_an_eighth_is_fetched_and_stays_zero() -> None:
    memory = untouched(64 << 20)
    fetched = pages.Pages().fetch(memory).result(timeout=30)
    there = resident(memory)
    assert fetched == 8 << 20
    assert all(there[: fetched // pages.PAGE])
    assert sum(there) < len(there) // 2
    assert not memory[:fetched].any()


def test_pages_stay_small() -> None:
    memory = untouched(64 << 20)
    pages.Pages().fetch(memory).result(timeout=30)
    assert "nh" in flags_of(memory.data_ptr())  # no huge pages


def flags_of(address: int) -> list[str]:
    """As /proc has them for the mapping that holds the address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if "-" in word and ":" not in word:
            first, last = (int(part, 16) for part in word.split("-"))
            inside = first <= address < last
        elif inside and word == "VmFlags:":
            return rest.split()
    raise AssertionError(f"no mapping has {address:x}")


def test_a_layer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_BYTES", 64 << 10)
    assert pages.Pages().fetch(untouched(8 << 20)).result(timeout=30) == 64 << 10


def test_waiting_leaves_nothing_to_fetch() -> None:
    made, memory = pages.Pages(), untouched(64 << 20)
    made.fetch(memory)
    made.wait()
    assert sum(resident(memory)) >= (8 << 20) // pages.PAGE
    made.wait()  # and again costs nothing


def test_a_system_without_the_call_is_left_alone() -> None:
    made = pages.Pages()
    made._madvise = None
    assert made.fetch(untouched(8 << 20)).result(timeout=30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="threads share their process's priority")
def test_the_thread_gives_way_to_requests() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert pages.Pages()._thread.submit(priority).result(timeout=30) == 19
    assert priority() < 19
