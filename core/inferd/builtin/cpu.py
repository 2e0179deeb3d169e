"""CpuPlatform: any CPU that torch runs on."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import torch

from inferd.contracts.platform import Platform
from inferd.contracts.verdict import YES, Verdict

GIB = 1 << 30
MOST_KV_BYTES = 4 * GIB  # a laptop stays usable; --kv-cache-memory-bytes asks for more
KV_SHARE = 0.25  # of what is available, below that
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MOST_ARENA_BYTES = 32 << 20  # the most that M_MMAP_THRESHOLD takes


class CpuPlatform(Platform):
    """Threads are set to the cores this process may use, unless OMP_NUM_THREADS says otherwise."""

    name = "cpu"
    scheduler_defaults = {"short_step_tokens": 352}
    """64 requests of 178 tokens at once: 99 in 100 of their gaps between tokens are under 0.28 s,
    and 0.65 s with steps of 2,048 (SmolLM2, 2 cores of an EPYC, 2026-11-27)."""

    rehearsed_tokens = 128  # those of SmolLM2's largest step, 2,048, take 2 s of a start of 5

    @classmethod
    def detect(cls) -> Verdict:
        return YES

    def prepare(self) -> None:
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(len(os.sched_getaffinity(0)))
        _keep_freed_memory()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def architecture(self) -> str:
        capability = torch.backends.cpu.get_cpu_capability().lower().replace(" ", "_")
        return f"{platform.machine()}_{capability}"

    def preferred_dtype(self, checkpoint: torch.dtype) -> torch.dtype:  # noqa: ARG002
        """bfloat16 where the CPU multiplies it, else float32."""
        return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32

    def free_memory(self) -> int:
        return _available_bytes()

    def default_kv_bytes(self, free: int, utilization: float) -> int:
        return int(min(MOST_KV_BYTES, free * KV_SHARE, free * utilization))


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks: mapping an activation anew costs more than computing it.

    512 tokens of SmolLM2: 216 ms without, 206 with (2 cores of an EPYC, 2026-11-25).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc only
        mallopt(M_MMAP_THRESHOLD, MOST_ARENA_BYTES)
        mallopt(M_TRIM_THRESHOLD, GIB)


def _available_bytes() -> int:
    """Memory that can be had without swapping, container limits included."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(meminfo["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no limit is set: the file is absent or says "max"
        return available
    return min(available, limit - used)
