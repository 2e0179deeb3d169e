"""The GPU at hand: its kind (torch calls NVIDIA's and AMD's alike cuda), and a watch over waits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PLATFORM = "cuda" if torch.version.hip is None else "rocm"


def architecture() -> str:
    """As tuning tables spell it."""
    properties = torch.cuda.get_device_properties(0)
    if PLATFORM == "rocm":
        return properties.gcnArchName.split(":")[0]
    return f"sm_{properties.major}{properties.minor}"


def can_chain() -> bool:
    """Whether a kernel may start before the one before it ends. AMD's capability is above 9 too."""
    return PLATFORM == "cuda" and torch.cuda.get_device_capability() >= (9, 0)


@contextmanager
def no_waiting() -> Iterator[None]:
    """torch raises in here for whatever would make the host wait for the device."""
    with warnings.catch_warnings():
        # said once in a process, so it would fail whichever test comes first
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
