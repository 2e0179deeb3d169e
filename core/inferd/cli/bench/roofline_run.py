"""Measuring what a model's steps are made of, each part beside the least time it could take.

Shape suffixes: R rows of a step, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from inferd.cli.bench.calls import ATTENTION, Call, Capture, num_bytes
from inferd.cli.bench.step_plans import SAMPLING, DecodePlans, blocks_per_row
from inferd.cli.bench.step_run import WARMUP
from inferd.cli.bench.timing import Limits, seconds_of
from inferd.config.engine import EngineConfig
from inferd.host.host import Host
from inferd.runner.forward import Forward
from inferd.runner.graphs import MOST_TOKENS
from inferd.runner.inputs import InputBuilder, Size, step_array
from inferd.runner.model_runner import ModelRunner
from inferd.types import Batch, StepPlan

GREEDY = SAMPLING["greedy"]
Figures = dict[str, Any]


class Roofline:
    """A loaded model on a device whose rates are known. Raises what loading raises."""

    def __init__(self, config: EngineConfig, num_iters: int) -> None:
        self.runner = ModelRunner(config, Host.of(config.plugins))
        built = self._built = self.runner.built
        self._num_iters, self._step_id = num_iters, 0
        table, block_size = self.runner.table, self.runner.info.block_size
        self._inputs = InputBuilder(
            table, built.choices.ops.prepare_inputs, block_size, built.cache.num_blocks
        )
        self._forward = Forward(built, table, self._inputs, block_size, eager=True)
        self._platform = built.choices.platform
        with torch.inference_mode():
            for cache in {id(each): each for pair in built.caches for each in pair}.values():
                cache.normal_()  # zeros would let the device clock higher than values do
            self.limits = Limits.measure(self._platform, built.config.dtype)

    @torch.inference_mode()
    def decode(self, contexts: Sequence[int]) -> Figures:
        """A step of one token per row."""
        plans = DecodePlans(self.runner.info, contexts, self._num_iters + WARMUP)
        first = plans.begin(self._step_id, GREEDY)
        seconds = self._steps(first, plans.decode)
        return self._figures(plans.decode(0, 0), seconds)

    @torch.inference_mode()
    def attention(self, contexts: Sequence[int]) -> Figures:
        """Decode attention alone, per layer."""
        plans = DecodePlans(self.runner.info, contexts, WARMUP)
        self._run(plans.begin(self._step_id, GREEDY))
        calls = [call for call in self._calls(plans.decode(0, 0)) if call.kind == ATTENTION]
        return self._part(ATTENTION, calls)

    @torch.inference_mode()
    def prefill(self, tokens: int) -> Figures:
        """A step of one prompt."""
        (plan,) = DecodePlans(self.runner.info, [tokens], 0).prefills(self._step_id, GREEDY)
        again = StepPlan(0, [0], [1], [tokens], [0], [True])
        return self._figures(again, self._steps(plan, lambda step_id, _: _numbered(again, step_id)))

    def _steps(self, first: StepPlan, later: Callable[[int, int], StepPlan]) -> float:
        """Seconds of a step, each submitted before the one before it is collected."""
        self._run(first)
        for grown in range(1, WARMUP):
            self._run(later(self._step_id, grown))
        plans = [later(self._step_id + i, WARMUP + i) for i in range(self._num_iters)]
        self._platform.synchronize()
        started = time.perf_counter()
        for place, plan in enumerate(plans):
            self._submit(plan)
            if place:
                self.runner.collect()
        self.runner.collect()
        return (time.perf_counter() - started) / len(plans)

    def _run(self, plan: StepPlan) -> None:
        self._submit(plan)
        self.runner.collect()

    def _submit(self, plan: StepPlan) -> None:
        self._step_id = plan.step_id + 1
        self.runner.forward(plan)
        self.runner.sample(plan.step_id)

    def _calls(self, plan: StepPlan) -> list[Call]:
        """What the step calls, in its order: the inputs, the model, the likeliest tokens."""
        prepare, batch = self._prepared(plan)
        with Capture(self._built, plan.num_tokens, _contexts(plan)) as capture:
            _, logits_RV = self._forward.run(batch)
        pick = self._built.choices.ops.argmax
        last = Call("argmax", lambda: pick(logits_RV), num_bytes(logits_RV), 0)
        return [Call("inputs", prepare, 0, 0), *capture.calls, last]

    def _prepared(self, plan: StepPlan) -> tuple[Callable[[], object], Batch]:
        """The batch as the step has it: what is recorded does not know its lengths on the host."""
        recorded = self._forward.recordable and plan.total_tokens <= MOST_TOKENS
        table, contexts = self.runner.table, _contexts(plan)
        blocks = blocks_per_row(max(contexts), self.runner.info.block_size)
        host = step_array(plan, Size(plan.total_tokens, len(plan.rows)), table)
        step_3X = torch.from_numpy(host).to(self._platform.device)[:3]
        is_decode = plan.total_tokens == len(plan.rows)

        def prepare() -> Batch:
            return self._inputs.of_array(
                step_3X,
                num_tokens=plan.total_tokens,
                num_decodes=len(plan.rows) if recorded or is_decode else 0,
                width=table.max_blocks if recorded else blocks,
            )

        batch = prepare()
        if not recorded:
            batch.query_lens, batch.context_lens = plan.num_tokens, contexts
        return prepare, batch

    def _figures(self, plan: StepPlan, seconds: float) -> Figures:
        calls = self._calls(plan)
        kinds = {kind: [c for c in calls if c.kind == kind] for kind in _in_order(calls)}
        linears = [call for call in calls if call.is_linear]
        attention = [call for call in calls if call.kind == ATTENTION]
        others = [call for call in calls if not call.is_linear and call.kind != ATTENTION]
        parts = {
            name: self._part(name, group)
            for name, group in (("linears", linears), (ATTENTION, attention), ("others", others))
        }
        step_ms = seconds * 1e3
        limit_ms = sum(part["limit_ms"] for part in parts.values())
        return {
            "rows": len(plan.rows),
            "tokens": plan.total_tokens,
            "step_ms": round(step_ms, 4),
            "limit_ms": round(limit_ms, 4),
            "share": round(limit_ms / step_ms, 4),
            "sum_ms": round(sum(part["ms"] for part in parts.values()), 4),
            "rest_ms": round(step_ms - parts["linears"]["ms"] - parts[ATTENTION]["ms"], 4),
            "parts": parts,
            "kernels": [self._part(kind, group) for kind, group in kinds.items()],
        }

    def _part(self, name: str, calls: Sequence[Call]) -> Figures:
        """Calls in a row, beside the least time that they could take."""

        def run() -> None:
            for call in calls:
                call.run()

        seconds = seconds_of(self._platform, run)
        moved, flops = (sum(getattr(c, what) for c in calls) for what in ("moved", "flops"))
        limit = sum(self.limits.seconds(call.moved, call.flops) for call in calls)
        return {
            "name": name,
            "calls": len(calls),
            "ms": round(seconds * 1e3, 4),
            "limit_ms": round(limit * 1e3, 4),
            "share": round(limit / seconds, 4) if moved else None,
            "gb_per_s": round(moved / seconds / 1e9, 2),
            "tflop_per_s": round(flops / seconds / 1e12, 3),
        }


def _numbered(plan: StepPlan, step_id: int) -> StepPlan:
    fields = (plan.rows, plan.epochs, plan.num_tokens, plan.starts, plan.samples)
    return StepPlan(step_id, *fields)


def _contexts(plan: StepPlan) -> list[int]:
    return [start + n for start, n in zip(plan.starts, plan.num_tokens, strict=True)]


def _in_order(calls: Iterable[Call]) -> list[str]:
    return list(dict.fromkeys(call.kind for call in calls))
