"""TorchDevicePlatform: what platforms share whose device torch calls "cuda": NVIDIA's and AMD's.

PUBLIC, and imports torch: for modules that a platform plugin's target names, not for plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakSet

import torch
from torch import Tensor

from inferd.contracts.platform import Platform, Recorded


class RecordedGraph(Recorded):
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: Sequence[Tensor]) -> None:
        self._graph = graph
        self._outputs = outputs

    def replay(self) -> Sequence[Tensor]:
        self._graph.replay()
        return self._outputs


class _Memory:
    """A tensor's bytes as the CUDA array interface tells of them, which knows no bfloat16."""

    def __init__(self, tensor: Tensor) -> None:
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": (tensor.numel() * tensor.element_size(),),
            "typestr": "|u1",
            "data": (tensor.data_ptr(), False),
        }


def _unowned(tensor: Tensor) -> Tensor:
    """The same memory, which the pool may give to the next graph: outputs live for one step."""
    assert tensor.is_contiguous()
    flat = torch.as_tensor(_Memory(tensor), device=tensor.device)
    return flat.view(tensor.dtype).view(tensor.shape)


class TorchDevicePlatform(Platform):
    """The first GPU that is visible. Left to a subclass: detect, architecture, preferred_dtype.

    Memory comes from torch's caching allocator; graphs share one pool of it.
    """

    can_record = True

    def prepare(self) -> None:
        torch.cuda.set_device(self.device)
        self._graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", 0)

    def free_memory(self) -> int:
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self.device)
        return free

    def default_kv_bytes(self, free: int, utilization: float) -> int:
        return int(free * utilization)

    def peak_bytes(self, run: Callable[[], object]) -> int:
        torch.cuda.synchronize(self.device)
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        run()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before

    def record(self, run: Callable[[], Sequence[Tensor]]) -> RecordedGraph:
        graph = torch.cuda.CUDAGraph()
        # of one that is alive: torch ends a pool together with the last graph in it
        pool = next((each.pool() for each in self._graphs), None)
        with torch.cuda.graph(graph, pool=pool):
            outputs = run()
        self._graphs.add(graph)
        return RecordedGraph(graph, [_unowned(each) for each in outputs])

    def synchronize(self) -> None:
        torch.cuda.synchronize(self.device)
