"""Core's own op providers keep the contract."""

from __future__ import annotations

import pytest
import torch

from inferd.builtin.ops_torch import prepare_rope, rope_kv_write
from inferd.testing import OpsContract


class TestTorch(OpsContract):
    plugin = "builtin"
    provider = "torch"


class TestCpu(OpsContract):
    plugin = "builtin"
    provider = "cpu"
    cannot = {"float16"}


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 0.3)])
def test_a_cache_of_8_bits_holds_the_nearest_value_and_saturates(scales) -> None:
    qkv_TXE = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0)) * 300
    k_BSGE, v_BSGE = (torch.zeros(2, 16, 2, 16).to(torch.float8_e4m3fn) for _ in range(2))
    rope = prepare_rope(torch.zeros(4, dtype=torch.int64), cos_sin_PE(16), torch.float32)
    slots_T = torch.arange(4) + 16
    rope_kv_write(qkv_TXE, 2, rope, k_BSGE, v_BSGE, slots_T, None, None, 1e-5, *scales)
    stored = zip((k_BSGE, v_BSGE), (qkv_TXE[:, 2:4], qkv_TXE[:, 4:]), scales, strict=True)
    for cache, values, scale in stored:
        expected = (values / scale).clamp(-448, 448).to(cache.dtype)
        assert torch.equal(cache.float()[1, :4], expected.float())
        assert not cache.float()[0].any()


def cos_sin_PE(size: int) -> torch.Tensor:
    """Of a rotation by nothing."""
    return torch.cat((torch.ones(1, size // 2), torch.zeros(1, size // 2)), -1)
