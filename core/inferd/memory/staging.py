"""Copies between host and device that never block the step path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CPU = torch.device("cpu")


def upload(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A device copy of a fresh array; on the CPU the array itself."""
    tensor = pinned(values, device)
    return tensor if device.type == "cpu" else tensor.to(device, non_blocking=True)


def pinned(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Host memory that `device` reads by itself; on the CPU the array itself."""
    tensor = torch.from_numpy(values)
    return tensor if device.type == "cpu" else tensor.pin_memory()


def upload_into(target: Tensor, values: npt.NDArray[Any]) -> None:
    """The same into memory that a recorded step reads."""
    target.copy_(pinned(values, target.device), non_blocking=True)


def upload_ints(values: Sequence[int] | npt.NDArray[np.int64], device: torch.device) -> Tensor:
    return upload(np.array(values, dtype=np.int64), device)


class Readback:
    """Device tensors on their way to the host; `wait` returns them once they have arrived."""

    __slots__ = ("_event", "_tensors")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._event: torch.Event | None = None
        device = self._tensors[0].device if self._tensors else CPU
        if device.type != "cpu":
            self._tensors = [t.to(CPU, non_blocking=True) for t in self._tensors]
            self._event = torch.Event(device)
            self._event.record()

    def wait(self) -> list[Tensor]:
        if self._event is not None:
            self._event.synchronize()
        return self._tensors
