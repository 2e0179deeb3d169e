"""DeepSeek's kv_b_proj of the two tensors that GGUF files since April 2025 have for it.

Shape suffixes: H heads, N elements of a head's key that are not rotated, V of its value, K size of
the latent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from inferd.contracts.loader import RawTensor
from inferd.loading.gguf_deepseek import KEYS, VALUES

WHOLE = "kv_b_proj"


def with_whole(tensors: Iterable[RawTensor]) -> Iterator[RawTensor]:
    """Each as it is, but kv_b_proj in float32, and in place of its halves once both are there.

    Blocks of keys, which are stored turned, run across the rows that the model has; the model takes
    the matrix apart into dense ones anyway, so it is unpacked where it came whole, too.
    """
    waiting: dict[str, dict[str, RawTensor]] = {}
    for tensor in tensors:
        module, _, part = tensor.name.removesuffix(".weight").rpartition(".")
        if part in (KEYS, VALUES):
            halves = waiting.setdefault(module, {})
            halves[part] = tensor
            if len(halves) == 2:
                yield _joined(f"{module}.{WHOLE}.weight", **waiting.pop(module))
        elif part == WHOLE:
            yield _dense(tensor.name, tensor.unpack(torch.float32))
        else:
            yield tensor


def _joined(name: str, k_b_proj: RawTensor, v_b_proj: RawTensor) -> RawTensor:
    """From [H, K, N] and [H, V, K]; of a head the rows of keys come before those of values."""
    keys_HKN, values_HVK = k_b_proj.unpack(torch.float32), v_b_proj.unpack(torch.float32)
    return _dense(name, torch.cat((keys_HKN.transpose(1, 2), values_HVK), dim=1).flatten(0, 1))


def _dense(name: str, values: torch.Tensor) -> RawTensor:
    return RawTensor(name, tuple(values.shape), "float32", values)
