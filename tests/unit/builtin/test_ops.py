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


@pytest.mark.parametrize("scales", [None, ([0.5, 2.0], [0.3, 0.7])])
def test_a_cache_of_8_bits_holds_the_nearest_value_and_saturates(scales) -> None:
    """And queries are multiplied by what the keys of their head were divided by."""
    qkv_TXE = torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(0)) * 300
    k_BSGE, v_BSGE = (torch.zeros(2, 16, 2, 16).to(torch.float8_e4m3fn) for _ in range(2))
    rope = prepare_rope(torch.zeros(4, dtype=torch.int64), cos_sin_PE(16), torch.float32)
    slots_T = torch.arange(4) + 16
    given = () if scales is None else [torch.tensor(each) for each in scales]
    q_THE = rope_kv_write(qkv_TXE, 4, rope, k_BSGE, v_BSGE, slots_T, None, None, 1e-5, *given)
    ones_G = torch.ones(2)
    k_scale_G, v_scale_G = given or (ones_G, ones_G)
    assert torch.equal(q_THE, qkv_TXE[:, :4] * k_scale_G[[0, 0, 1, 1], None])
    both = (k_BSGE, qkv_TXE[:, 4:6], k_scale_G), (v_BSGE, qkv_TXE[:, 6:], v_scale_G)
    for cache, values, scale_G in both:
        expected = (values / scale_G[:, None]).clamp(-448, 448).to(cache.dtype)
        assert torch.equal(cache.float()[1, :4], expected.float())
        assert not cache.float()[0].any()


def cos_sin_PE(size: int) -> torch.Tensor:
    """Of a rotation by nothing."""
    return torch.cat((torch.ones(1, size // 2), torch.zeros(1, size // 2)), -1)
