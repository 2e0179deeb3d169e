"""What kind of GPU is at hand: torch calls NVIDIA's and AMD's alike cuda."""

from __future__ import annotations

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
