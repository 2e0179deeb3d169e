"""Warming up meets what serving meets: both types of logits, with and without top_k, few and many
logprobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from inferd.contracts.ops import Ops
from inferd.params import MAX_LOGPROBS
from inferd.sampling.warm_up import warm_up
from inferd.testing.drive import reference_ops

NAMES = ("mask", "argmax", "draw", "draw_filtered", "top_logprobs")


def recorded(calls: list[tuple[Any, ...]]) -> Ops:
    """Ops that note (name, type of logits, what else decides the kernel)."""
    ops = reference_ops(torch.float32)

    def noted(name: str, op: Any) -> Any:
        def call(logits: torch.Tensor, *rest: Any) -> Any:
            which = {"draw_filtered": lambda: rest[0].unbounded, "top_logprobs": lambda: rest[1]}
            calls.append((name, logits.dtype, which.get(name, lambda: None)()))
            return op(logits, *rest)

        return call

    return replace(ops, **{name: noted(name, getattr(ops, name)) for name in NAMES})


def test_every_way_is_met_once() -> None:
    calls: list[tuple[Any, ...]] = []
    warm_up(recorded(calls), 300, torch.bfloat16, torch.device("cpu"))
    expected = {
        (name, dtype, which)
        for dtype in (torch.bfloat16, torch.float32)
        for name, kinds in (
            ("mask", (None,)),
            ("argmax", (None,)),
            ("draw", (None,)),
            ("draw_filtered", (False, True)),
            ("top_logprobs", (1, MAX_LOGPROBS)),
        )
        for which in kinds
    }
    assert set(calls) == expected
    assert len(calls) == len(expected)


def test_logits_in_float32_are_met_once() -> None:
    calls: list[tuple[Any, ...]] = []
    warm_up(recorded(calls), 5, torch.float32, torch.device("cpu"))
    assert len(calls) == len(set(calls)) == 7
