"""torch as built for ROCm, simulated on a CPU: an MI300X that computes on CPU tensors.

It has no name of torch.cuda but these, so any other call raises AttributeError. Each is in the page
"HIP (ROCm) semantics" of torch's documentation, or bound for HIP as for CUDA in torch's sources:
torch/csrc/cuda/Module.cpp (devices, memory, properties), Graph.cpp (graphs) and shared/cudart.cpp
(mem_get_info). That the real device behaves so, only a real device can show.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

TOTAL = 192 << 30
TAKEN = 1 << 30  # by the driver


class SimulatedTorch:
    """Everything but cuda, version and as_tensor is torch itself."""

    def __init__(self, hip: str | None = "7.1", cuda: str | None = None, devices: int = 1) -> None:
        self.version = SimpleNamespace(hip=hip, cuda=cuda)
        self.cuda = SimulatedHip(devices)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def as_tensor(self, data: Any, *, device: torch.device) -> Tensor:
        """A view of the memory that __cuda_array_interface__ describes."""
        told = data.__cuda_array_interface__
        assert told["typestr"] == "|u1", "HIP's reader is trusted with bytes only"
        (size,), (address, _) = told["shape"], told["data"]
        memory = (ctypes.c_uint8 * size).from_address(address)
        return torch.frombuffer(memory, dtype=torch.uint8).to(device)


class SimulatedGraph:
    """Launches are torch ops on CPU tensors, repeated on the same tensors."""

    def __init__(self) -> None:
        self._launches: list[tuple[Any, Any, Any, Tensor]] = []
        self.own_pool: object = None

    def pool(self) -> object:
        return self.own_pool

    def replay(self) -> None:
        assert self._launches, "an empty graph: nothing was launched while it was captured"
        for op, args, kwargs, out in self._launches:
            out.copy_(op(*args, **kwargs))


class _Capture(TorchDispatchMode):
    def __init__(self, graph: SimulatedGraph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self._graph._launches.append((func, args, kwargs or {}, out))
        return out


class SimulatedHip:
    """torch.cuda."""

    CUDAGraph = SimulatedGraph

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._initialized = False
        self._held = self._peak = 0
        self._pools: list[object] = []

    def _allocate(self, size: int) -> None:
        """What a kernel's output does, here for a tensor that is freed at once."""
        self._peak = max(self._peak, self._held + size)

    def _on(self, device: torch.device) -> None:
        assert device == torch.device("cuda", 0), f"there is no {device} in torch for ROCm"
        self._initialized = True

    def device_count(self) -> int:
        return self._devices

    def set_device(self, device: torch.device) -> None:
        self._on(device)

    def synchronize(self, device: torch.device) -> None:
        self._on(device)

    def get_device_capability(self, device: torch.device) -> tuple[int, int]:
        self._on(device)
        return 9, 4

    def get_device_properties(self, device: torch.device) -> SimpleNamespace:
        self._on(device)
        return SimpleNamespace(
            name="AMD Instinct MI300X",
            gcnArchName="gfx942:sramecc+:xnack-",
            multi_processor_count=304,
            total_memory=TOTAL,
            warp_size=64,
        )

    def empty_cache(self) -> None:
        self._initialized = True

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        self._on(device)
        return TOTAL - TAKEN - self._held, TOTAL

    def memory_allocated(self, device: torch.device) -> int:
        self._on(device)
        return self._held

    def max_memory_allocated(self, device: torch.device) -> int:
        self._on(device)
        return self._peak

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        self._on(device)
        self._peak = self._held

    def graph(self, cuda_graph: SimulatedGraph, pool: object | None) -> _Capture:
        """Without a pool, one of the graph's own."""
        assert pool is None or pool in self._pools, "no graph that is alive has this pool"
        cuda_graph.own_pool = pool or object()
        self._pools.append(cuda_graph.own_pool)
        return _Capture(cuda_graph)
