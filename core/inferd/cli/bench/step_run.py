"""Measuring a ModelRunner's decode steps. Imports torch."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import nn

from inferd.cli.bench.probe import OpCounter, Probe
from inferd.cli.bench.step import median_phases
from inferd.cli.bench.step_plans import SAMPLING, DecodePlans
from inferd.config.engine import EngineConfig
from inferd.host.host import Host
from inferd.layers import Attention
from inferd.runner.model_runner import ModelRunner
from inferd.types import StepPlan

WARMUP = 4  # steps before the measured ones, the first two of which see new shapes


class StepBench:
    """One loaded runner, measured at several batch sizes."""

    def __init__(self, config: EngineConfig, context: int, num_iters: int) -> None:
        self.runner: Any = ModelRunner(config, Host.from_selection(config.plugins.plugins))
        self._context, self._num_iters = context, num_iters
        self._step_id = 0
        layers = layers_of(self.runner.built.model)
        self.num_layers = len(layers)
        self._probe = Probe()
        _watch(self.runner, layers, self._probe)

    def measure(self, batch_size: int, sampling: str, *, count_ops: bool) -> dict[str, Any]:
        """Medians over the steps; the calls are those of one more step."""
        plans = DecodePlans(
            self.runner.info, [self._context] * batch_size, self._num_iters + WARMUP
        )
        for plan in plans.prefills(self._step_id, SAMPLING[sampling]):
            self._run(plan)
        for grown in range(WARMUP - 1):
            self._run(plans.decode(self._step_id, grown))
        self._probe.clear()
        totals = [
            self._run(plans.decode(self._step_id, WARMUP - 1 + i)) for i in range(self._num_iters)
        ]
        phases, host = median_phases(self._probe.steps)
        values: dict[str, Any] = {
            "batch_size": batch_size,
            "sampling": sampling,
            "ms_per_step": round(statistics.median(totals), 4),
            "phases_ms": phases,
            "host_ms": host,
        }
        if count_ops:
            with OpCounter(self._probe) as counter:
                self._run(plans.decode(self._step_id, WARMUP - 1 + self._num_iters))
            values["calls"] = count_calls(counter.calls, counter.views, self.num_layers)
        return values

    def _run(self, plan: StepPlan) -> float:
        """Milliseconds of one step, from plan to result."""
        self._step_id += 1
        started = time.perf_counter()
        self.runner.forward(plan)
        self.runner.sample(plan.step_id)
        self.runner.collect()
        taken = (time.perf_counter() - started) * 1e3
        self._probe.end_step()
        return taken


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The members of the first ModuleList whose members all hold an Attention."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) and all(map(_attends, module)):
            return list(module)
    return []


def _attends(module: nn.Module) -> bool:
    return any(isinstance(each, Attention) for each in module.modules())


def _watch(runner: Any, layers: list[nn.Module], probe: Probe) -> None:
    forward = runner._forward
    probe.wrap(runner, "_apply_diffs", "diffs")
    probe.wrap(forward._inputs, "batch", "inputs")
    probe.wrap(forward._inputs, "sample_step", "sample inputs")
    probe.wrap(forward._attention, "plan", "attention plan")
    probe.wrap(forward._model, "forward", "model outside layers")
    for layer in layers:
        probe.wrap(layer, "forward", "layers")
    probe.wrap(forward._model, "compute_logits", "output head")
    probe.wrap(runner._sampler, "sample", "sample")
    probe.wrap(runner, "collect", "collect")
    probe.wrap(runner, "forward", "rest of forward launch")
    probe.wrap(runner, "sample", "rest of sample launch")


def count_calls(
    calls: Mapping[tuple[str, str], int], views: set[str], num_layers: int
) -> dict[str, Any]:
    """By op: mean per layer, outside layers, per step; most frequent first."""
    inside: Counter[str] = Counter()
    total: Counter[str] = Counter()
    by_phase: Counter[str] = Counter()
    for (phase, op), count in calls.items():
        total[op] += count
        by_phase[phase] += count
        if phase == "layers":
            inside[op] += count

    def numbers(within: int, everywhere: int) -> list[float]:
        return [round(within / max(1, num_layers), 2), everywhere - within, everywhere]

    return {
        "by_op": {op: numbers(inside[op], count) for op, count in total.most_common()},
        "total": numbers(inside.total(), total.total()),
        "by_phase": dict(by_phase.most_common()),
        "views": sorted(views),
    }
