"""A cache in fp8 is read as the numbers that its bits say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.testing.attention_cases import AttentionCase
from inferd.testing.attention_step import Step
from inferd.testing.numbers import check_close
from inferd_attention_triton import tuned
from inferd_attention_triton.backend import TritonAttention

CPU = torch.device("cpu")


@pytest.mark.parametrize("paired", [True, False], ids=["pairs", "singly"])
@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_what_the_rounded_cache_gives_in_bf16(
    monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, paired: bool
) -> None:
    """Values read two of a key at a time, as on NVIDIA's, and singly."""
    decode = replace(tuned.INTERPRETED.decode, paired=paired)
    monkeypatch.setattr(tuned, "INTERPRETED", replace(tuned.INTERPRETED, decode=decode))
    step, backend = Step(AttentionCase(dtype="bfloat16"), CPU), TritonAttention()
    plan = backend.plan(step.batch, 1, step.spec, 16)
    fp8 = [cache.to(kind) for cache in step.fill(backend, 0)]
    found_THE, expected_THE = (
        backend.forward(step.queries(0), k, v, plan, step.params)
        for k, v in (fp8, [cache.bfloat16() for cache in fp8])
    )
    check_close(kind, found_THE, expected_THE, "bfloat16")
    assert not torch.equal(found_THE, torch.zeros_like(found_THE))


@pytest.mark.parametrize("rows", ["decodes", "prefills"])
def test_queries_beyond_float16(rows: str) -> None:
    """They are multiplied in it: what is larger becomes its largest number, and nothing nan."""
    case = AttentionCase(dtype="bfloat16", narrow="float8_e4m3fn", rows=rows)
    step, backend = Step(case, CPU), TritonAttention()
    plan, q_THE = backend.plan(step.batch, 1, step.spec, 16), step.queries(0)
    found = []
    for largest in (65504.0, 1e6):
        q_THE[:, 0, :2] = torch.tensor([largest, -largest])
        found.append(backend.forward(q_THE, *step.fill(backend, 0), plan, step.params))
    assert found[0].isfinite().all()
    assert torch.equal(found[0], found[1])


class Faint(Step):
    """The first key of a row outweighs each other one by e ** 18, and has no value."""

    def queries(self, layer: int) -> torch.Tensor:
        q_THE = torch.zeros_like(super().queries(layer))
        q_THE[..., 0] = 90  # times a scale of 0.2
        return q_THE

    def keys_and_values(self, layer: int, row: int) -> list[torch.Tensor]:
        k_LGE, v_LGE = map(torch.zeros_like, super().keys_and_values(layer, row))
        k_LGE[0, :, 0], v_LGE[1:] = 1, 1
        return [k_LGE, v_LGE]


@pytest.mark.parametrize("rows", ["decodes", "mixed"])
def test_small_weights_are_not_lost(rows: str) -> None:
    """float16, in which they are multiplied, ends at 6e-8 of its 1."""
    step = Faint(AttentionCase(dtype="bfloat16", narrow="float8_e4m3fn", rows=rows), CPU)
    backend = TritonAttention()
    plan = backend.plan(step.batch, 1, step.spec, 16)
    found_THE = backend.forward(step.queries(0), *step.fill(backend, 0), plan, step.params)
    torch.testing.assert_close(found_THE.double(), step.expected(0).double(), rtol=0.02, atol=1e-10)
