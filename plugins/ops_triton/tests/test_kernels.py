"""What the contract of ops does not ask: memory that is written in place, caches in fp8.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

import pytest
import torch

from inferd.testing import reference
from inferd.testing.numbers import check_close
from inferd_ops_triton.kernels import activation, norm, prepare, rope, sampling_scan


def test_add_rms_norm_writes_in_place_and_nothing_beside():
    whole = torch.ones(3, 40)
    x_TD, residual_TD = whole[:, :24], torch.full((3, 24), 2.0)
    normed_TD, sum_TD = norm.add_rms_norm(x_TD, residual_TD, torch.ones(24), 1e-5)
    assert normed_TD.data_ptr() == whole.data_ptr()
    assert sum_TD is residual_TD
    assert torch.equal(sum_TD, torch.full((3, 24), 3.0))
    assert torch.equal(whole[:, 24:], torch.ones(3, 16))


def test_rms_norm_leaves_its_input_alone():
    x_TD = torch.randn(3, 24)
    before = x_TD.clone()
    norm.rms_norm(x_TD, torch.ones(24), 1e-5)
    assert torch.equal(x_TD, before)


@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_tanh"])
def test_activations_of_rows_longer_than_a_program(act):
    x_T2I = torch.randn(2, 2 * (activation.BLOCK_I + 7))
    expected_TI = reference.act_and_mul(act, x_T2I)
    check_close(act, activation.act_and_mul(x_T2I, act), expected_TI, "float32")


@pytest.mark.parametrize("kept", [None, (0.3, 1.7)])
@pytest.mark.parametrize("scale", [1.0, 500.0])
def test_an_fp8_cache_holds_the_nearest_value_and_saturates(scale, kept):
    """Divided by scales of heads; queries are multiplied by what keys of their head are."""
    kind = torch.float8_e4m3fn
    qkv_TXE = torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(0)) * scale
    queries_THE, keys_TGE, values_TGE = qkv_TXE.clone().split((4, 2, 2), 1)
    k_BSGE, v_BSGE = (torch.zeros(2, 16, 2, 16).to(kind) for _ in range(2))
    slots_T = torch.arange(4) + 16
    unturned = torch.cat((torch.ones(4, 8), torch.zeros(4, 8)), -1)
    prepared = rope.prepare_rope(torch.arange(4), unturned, qkv_TXE.dtype)
    scales_G = torch.tensor(kept or (1.0, 1.0))
    given = (scales_G, scales_G.flip(0)) if kept else ()
    args = k_BSGE, v_BSGE, slots_T, None, None, 1e-5, *given
    q_THE = rope.rope_kv_write(qkv_TXE, 4, prepared, *args)
    torch.testing.assert_close(q_THE, queries_THE * scales_G[[0, 0, 1, 1], None])
    both = (k_BSGE, keys_TGE, scales_G), (v_BSGE, values_TGE, scales_G.flip(0))
    for cache_BSGE, x_TGE, scale_G in both:
        stored_TGE = cache_BSGE.view(torch.uint8)[1, :4].view(kind)
        expected_TGE = (x_TGE / scale_G[:, None]).clamp(-448, 448).to(kind)
        assert torch.equal(stored_TGE.float(), expected_TGE.float())


def test_padding_tokens_share_a_slot_and_leave_the_others_alone():
    qkv_TXE = torch.randn(9, 3, 32)
    k_BSGE, v_BSGE = (torch.full((3, 4, 1, 32), 7.0) for _ in range(2))
    slots_T = torch.tensor([5, 0, 0, 0, 0, 0, 0, 0, 0])
    prepared = rope.prepare_rope(torch.zeros(9, dtype=torch.int64), torch.ones(1, 32), torch.float)
    rope.rope_kv_write(qkv_TXE, 1, prepared, k_BSGE, v_BSGE, slots_T, None, None, 1e-5)
    for cache in (k_BSGE, v_BSGE):
        untouched = cache.view(12, 32)[[*range(1, 5), *range(6, 12)]]
        assert torch.equal(untouched, torch.full((10, 32), 7.0))
    assert torch.equal(v_BSGE[1, 1, 0], qkv_TXE[0, 2])


@pytest.mark.parametrize("size", [1, 5, 16])
def test_what_is_made_is_aligned_alike_whatever_its_size(size):
    """Triton compiles a kernel anew for a pointer that is aligned otherwise."""
    step_3X = torch.tensor([[0, 1, 0], [3, 0, 0], [0, size, size + 4]])
    history_XL = torch.zeros(2, 64, dtype=torch.int32)
    tables_XB = [torch.zeros(2, 16, dtype=torch.int32) for _ in range(2)]
    made = prepare.prepare_inputs(step_3X, history_XL, tables_XB, 4, size + 4, 16)
    found = sampling_scan.scan(torch.zeros(size, 640), mass=True)
    tensors = [made.ids_T, made.positions_T, made.query_starts_R1, made.contexts_R, *made.slots_T]
    tensors += [*made.block_tables_RB, found.tops_NB, found.peaks_NP, found.masses_NP]
    assert [tensor.data_ptr() % 16 for tensor in tensors] == [0] * len(tensors)
