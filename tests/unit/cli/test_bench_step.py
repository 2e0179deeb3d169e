"""Counting calls and milliseconds by phase, and the decode step of a tiny model."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from inferd.cli import main
from inferd.cli.bench import probe as probe_module
from inferd.cli.bench.probe import OUTSIDE, OpCounter, Probe
from inferd.cli.bench.step import KINDS, median_phases
from inferd.cli.bench.step_plans import SAMPLING, DecodePlans
from inferd.cli.bench.step_run import count_calls, layers_of
from inferd.contracts.executor import WorkerInfo
from inferd.testing.tiny import write_checkpoint

INFO = WorkerInfo(64, 100, 50, 4, (("full", None), ("window", 8)), {})


class Toy(nn.Module):
    """An embedding, three layers of a matrix product and an addition, a sum."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).add(1.0)
        return x.sum()


def test_calls_are_counted_in_the_phase_they_come_from():
    toy, probe = Toy(), Probe()
    probe.wrap(toy, "forward", "model")
    for layer in toy.layers:
        probe.wrap(layer, "forward", "layers")
    with torch.inference_mode(), OpCounter(probe) as counter:
        toy(torch.ones(2, 4).view(1, 2, 4)[0])
    found = {
        phase: sum(n for (p, _), n in counter.calls.items() if p == phase)
        for phase in ("layers", "model", OUTSIDE)
    }
    assert counter.calls["model", "aten.add"] == 3
    assert counter.calls["model", "aten.sum"] == 1
    assert counter.calls[OUTSIDE, "aten.ones"] == 1
    assert {"aten.view", "aten.select"} <= counter.views
    assert "aten.add" not in counter.views
    assert found["layers"] % 3 == 0 and found["layers"] >= 3
    assert found["model"] == 4


def test_the_table_of_calls_adds_up():
    calls = {("layers", "aten.mm"): 12, ("layers", "aten.add"): 3, ("sample", "aten.add"): 2}
    found = count_calls(calls, {"aten.view"}, num_layers=3)
    assert found["by_op"] == {"aten.mm": [4.0, 0, 12], "aten.add": [1.0, 2, 5]}
    assert found["total"] == [5.0, 2, 17]
    assert found["by_phase"] == {"layers": 15, "sample": 2}


def test_an_inner_phase_is_charged_to_itself_only(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 10.0, 20.0, 21.0, 22.0, 23.0])
    monkeypatch.setattr(probe_module.time, "perf_counter", lambda: next(clock))

    class Thing:
        def outer(self):
            self.inner()

        def inner(self):
            pass

    thing, probe = Thing(), Probe()
    probe.wrap(thing, "outer", "outer")
    probe.wrap(thing, "inner", "inner")
    for _ in range(2):
        thing.outer()
        probe.end_step()
    assert probe.steps == [{"outer": 8000.0, "inner": 2000.0}, {"outer": 2000.0, "inner": 1000.0}]
    assert probe.phase == OUTSIDE


def test_an_exception_leaves_the_phase():
    class Thing:
        def fail(self):
            raise ValueError("boom")

    thing, probe = Thing(), Probe()
    probe.wrap(thing, "fail", "failing")
    with pytest.raises(ValueError, match="boom"):
        thing.fail()
    assert probe.phase == OUTSIDE


def test_phases_are_medians_and_the_model_is_no_host_time():
    steps = [{"layers": 5.0, "sample": 1.0}, {"layers": 7.0, "sample": 3.0}, {"layers": 6.0}]
    assert median_phases(steps) == ({"layers": 6.0, "sample": 1.0}, 1.0)


def test_plans_give_every_row_and_group_its_own_blocks():
    plans = DecodePlans(INFO, [5] * 3, steps=6)
    starts = [plan.new_rows[0] for plan in plans.prefills(7, SAMPLING["greedy"])]
    blocks = [block for start in starts for table in start.block_ids for block in table]
    assert len(blocks) == len(set(blocks)) == 3 * 2 * 3  # rows, groups, blocks of 4 for 12 tokens
    assert 0 not in blocks
    assert [len(start.prompt_ids) for start in starts] == [5, 5, 5]


def test_decode_plans_follow_the_prompts():
    plans = DecodePlans(INFO, [5, 7], steps=6)
    plan = plans.decode(9, grown=3)
    assert (plan.step_id, plan.rows, plan.starts, plan.num_tokens) == (9, [0, 1], [8, 10], [1, 1])
    assert plan.samples == [True, True]


def test_every_kind_of_sampling_has_its_parameters():
    assert set(KINDS) == set(SAMPLING)


def test_rows_may_begin_with_a_decode():
    plan = DecodePlans(INFO, [5, 7], steps=6).begin(3, SAMPLING["greedy"])
    assert plan.starts == [5, 7] and plan.num_tokens == [1, 1]
    assert [len(start.prompt_ids) for start in plan.new_rows] == [6, 8]


def test_plans_that_do_not_fit_the_cache_are_refused():
    with pytest.raises(ValueError, match="48 blocks per KV group, of 49"):
        DecodePlans(INFO, [189], steps=1)


def test_a_model_without_attention_has_no_layers():
    assert layers_of(Toy()) == []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    write_checkpoint(path, "MistralForCausalLM", num_hidden_layers=3)  # windows: another KV group
    return path


def test_a_real_step_is_measured_and_its_linears_are_found(tiny, capsys):
    sizes = ["--batch-size", "1", "3", "--input-len", "40", "--num-iters", "2"]
    words = ["--model", str(tiny), "--dtype", "float32", *sizes]  # whose linears are torch's
    assert main(["bench", "step", *words, "--ops", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["num_layers"] == 3
    assert [step["batch_size"] for step in values["steps"]] == [1, 3]
    for step in values["steps"]:
        linears = [row for op, row in step["calls"]["by_op"].items() if "linear" in op]
        per_layer, outside, _ = (sum(column) for column in zip(*linears, strict=True))
        assert (per_layer, outside) == (4.0, 1)  # qkv, o, gate and up, down; the output head
        assert set(step["phases_ms"]) >= {"inputs", "attention plan", "layers", "output head"}
        assert step["calls"]["total"][2] == sum(step["calls"]["by_phase"].values())


def test_the_report_for_people_has_both_tables(tiny, capsys):
    words = ["--batch-size", "2", "--input-len", "9", "--num-iters", "1", "--ops"]
    assert main(["bench", "step", "--model", str(tiny), *words]) == 0
    out = capsys.readouterr().out
    for text in ("ms/step", "per layer", "outside layers", "host (all but the model)", "by phase"):
        assert text in out


def test_a_size_of_nothing_is_refused(tiny, capsys):
    assert main(["bench", "step", "--model", str(tiny), "--batch-size", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
