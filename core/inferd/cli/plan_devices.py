"""What a model could run on: this machine, or a GPU by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd.errors import UsageError

if TYPE_CHECKING:
    import torch

    from inferd.config.engine import EngineConfig
    from inferd.contracts.platform import Platform
    from inferd.host.host import Host

MIB = 1 << 20
GPU_MIB = {  # what nvidia-smi or rocm-smi reports as total
    "t4": 15360,
    "a10": 23028,
    "l4": 23034,
    "rtx-3090": 24576,
    "rtx-4090": 24564,
    "rtx-5090": 32607,
    "a100-40gb": 40960,
    "l40s": 46068,
    "a100-80gb": 81920,
    "h100": 81559,
    "h200": 143771,
    "b200": 183359,
    "mi300x": 196592,
}
CONTEXT_BYTES = 600 * MIB  # what the driver, CUDA's context and kernels take
BEFORE_AMPERE = ("t4",)  # have no bfloat16


@dataclass(frozen=True, slots=True)
class Device:
    name: str
    free_bytes: int
    kv_bytes: Callable[[int], int]  # of what the weights leave
    scheduler_defaults: Mapping[str, int]
    preferred_dtype: Callable[[torch.dtype], torch.dtype]
    measures_workspace: bool  # and takes it from the cache
    platform: Platform | None = None  # None: not here


def this_machine(config: EngineConfig, host: Host) -> Device:
    """The platform that would be used here."""
    from inferd.runner.choices import choose_platform

    platform = choose_platform(config, host)
    platform.prepare()
    share = config.cache.gpu_memory_utilization
    return Device(
        name=f"this machine ({platform.name})",
        free_bytes=platform.free_memory(),
        kv_bytes=lambda left: platform.default_kv_bytes(left, share),
        scheduler_defaults=platform.scheduler_defaults,
        preferred_dtype=platform.preferred_dtype,
        measures_workspace=platform.device.type != "cpu",
        platform=platform,
    )


def named_gpu(name: str, config: EngineConfig) -> Device:
    """Raises UsageError for a GPU that is not in the table."""
    import torch

    from inferd.builtin.cuda import CudaPlatform

    key = name.lower()
    if key not in GPU_MIB:
        near = difflib.get_close_matches(key, GPU_MIB, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"--gpu {name}: not known{hint}\n  known: {', '.join(GPU_MIB)}")
    halved = torch.float16 if key in BEFORE_AMPERE else torch.bfloat16
    share = config.cache.gpu_memory_utilization
    return Device(
        name=key,
        free_bytes=GPU_MIB[key] * MIB - CONTEXT_BYTES,
        kv_bytes=lambda left: int(left * share),
        scheduler_defaults=CudaPlatform.scheduler_defaults,
        preferred_dtype=lambda stored: (
            halved if key in BEFORE_AMPERE or stored == torch.float32 else stored
        ),
        measures_workspace=True,
    )
