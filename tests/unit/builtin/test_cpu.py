"""The CPU platform: threads, memory limits and what it prefers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from inferd.builtin import cpu
from inferd.builtin.cpu import GIB, CpuPlatform
from inferd.testing import PlatformContract


class TestContract(PlatformContract):
    plugin = "builtin"
    platform = "cpu"


@pytest.fixture
def threads():
    """Restores the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files(monkeypatch):
    """Files as this machine would have them, by path."""

    def files(**contents):
        by_name = {
            "/proc/meminfo": "MemTotal: 99 kB\nMemAvailable: 8388608 kB\n",
            "/sys/fs/cgroup/memory.max": contents.get("limit"),
            "/sys/fs/cgroup/memory.current": contents.get("used"),
        }

        def read_text(path):
            if by_name[str(path)] is None:
                raise FileNotFoundError(path)
            return by_name[str(path)]

        monkeypatch.setattr(Path, "read_text", read_text)

    return files


def test_there_is_always_one():
    assert CpuPlatform.detect()
    assert CpuPlatform().device == torch.device("cpu")


def test_threads_are_the_cores_this_process_may_use(threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5})
    CpuPlatform().prepare()
    assert torch.get_num_threads() == 3


def test_omp_num_threads_wins(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(2)
    CpuPlatform().prepare()
    assert torch.get_num_threads() == 2


def test_the_architecture_is_a_key_without_blanks(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512 BF16")
    assert CpuPlatform().architecture.endswith("_avx512_bf16")


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_where_the_cpu_multiplies_it(monkeypatch, fast, dtype):
    monkeypatch.setattr(cpu.torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: fast)
    assert CpuPlatform().preferred_dtype(torch.float16) is dtype


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        (None, None, 8 * GIB),
        ("max\n", "5", 8 * GIB),
        (f"{4 * GIB}\n", f"{GIB}\n", 3 * GIB),
        (f"{64 * GIB}\n", f"{GIB}\n", 8 * GIB),
    ],
)
def test_free_memory_heeds_the_container(files, limit, used, free):
    files(limit=limit, used=used)
    assert CpuPlatform().free_memory() == free


def test_the_default_cache_leaves_the_machine_usable():
    platform = CpuPlatform()
    assert platform.default_kv_bytes(8 * GIB, 0.9) == 2 * GIB
    assert platform.default_kv_bytes(8 * GIB, 0.1) == int(0.8 * GIB)
    assert platform.default_kv_bytes(512 * GIB, 0.9) == 4 * GIB
