"""CostModel: how long a step takes on the device that the simulation imagines."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.types import StepPlan


@dataclass(frozen=True, slots=True)
class CostModel:
    """ms = overhead + max(weights, token * tokens) + context * context tokens.

    A step reads the weights once, or is bound by the arithmetic of its tokens; then every row reads
    the KV of its context. The defaults are Llama-3.1-8B in bf16 on one H100 (80 GB HBM3): GEMMs of
    5.7 ms up to some 200 tokens and 26.8 us a token in long prefills, 128 KiB of KV a token at
    3.0 TB/s, and the 0.8 ms a step by which vLLM 0.24 exceeds that at batch 1 (2026-11-23).
    """

    overhead_ms: float = 0.8
    weights_ms: float = 5.7
    token_ms: float = 0.0268
    context_ms: float = 0.0000437

    def step_ms(self, plan: StepPlan) -> float:
        tokens = plan.total_tokens
        context = sum(plan.starts) + tokens
        return (
            self.overhead_ms
            + max(self.weights_ms, self.token_ms * tokens)
            + self.context_ms * context
        )
