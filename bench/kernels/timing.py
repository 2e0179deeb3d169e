"""Times of kernels, from CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch


def graph_time(run: Callable[[], object], replays: int = 9) -> float:
    """Seconds of one replay of a graph of `run`: the median."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()  # compiles
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        run()
    graph.replay()
    return median(_time(graph.replay) for _ in range(replays))


def copy_rate(size: int = 1 << 30) -> float:
    """TB/s read and written by a copy on the device."""
    source = torch.empty(size, dtype=torch.uint8, device="cuda")
    to = torch.empty_like(source)
    to.copy_(source)
    return 2 * size / median(_time(lambda: to.copy_(source)) for _ in range(9)) / 1e12


def _time(run: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
