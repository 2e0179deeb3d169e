"""The roofline: what a kernel must move and compute, and the parts of a tiny model's steps."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from inferd.cli import main
from inferd.cli.bench import timing
from inferd.cli.bench.calls import (
    Capture,
    attended,
    experts_cost,
    gated_cost,
    linear_cost,
    num_bytes,
)
from inferd.cli.bench.pages import PAGES
from inferd.cli.bench.roofline import contexts_of, text
from inferd.cli.bench.timing import Limits, seconds_of
from inferd.config.engine import EngineConfig
from inferd.contracts.quantization import ExpertsSpec
from inferd.errors import UsageError
from inferd.host.host import Host
from inferd.runner.build import build
from inferd.runner.workspace import LargestStep
from inferd.testing.tiny import write_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    write_checkpoint(path, "MistralForCausalLM", num_hidden_layers=3)  # windows: another KV group
    return path


class Device:
    """A platform on which a call takes a second, and a replay half of one."""

    can_record = False

    def __init__(self, monkeypatch):
        self.now, self.waits = 0.0, 0
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def work(self):
        self.now += 1.0

    def synchronize(self):
        self.waits += 1

    def record(self, run):
        assert list(run()) == []
        return SimpleNamespace(replay=lambda: setattr(self, "now", self.now + 0.5))


def test_what_cannot_be_recorded_is_called_and_waited_for(monkeypatch):
    device = Device(monkeypatch)
    assert seconds_of(device, device.work) == 1.0
    assert device.waits > 2


def test_of_experts_those_count_that_a_token_chose():
    spec = ExpertsSpec("", 8, 4, 3, "silu", False, torch.float32, torch.device("cpu"))
    chosen_TC = torch.tensor([[1, 5], [5, 7]])
    x_TD = torch.zeros(2, 4)
    moved, flops = experts_cost(spec, (x_TD, chosen_TC, torch.ones(2, 2)), x_TD)
    weights = 3 * 4 * 3
    assert (moved, flops) == (3 * weights * 4 + 2 * 2 * 4 * 4, 2 * 4 * weights)


def test_what_can_be_recorded_is_replayed(monkeypatch):
    device = Device(monkeypatch)
    device.can_record = True
    assert seconds_of(device, device.work) == 0.5


def test_short_work_is_repeated_within_a_round(monkeypatch):
    device = Device(monkeypatch)
    calls = []

    def work():
        calls.append(device.now)
        device.now += timing.ROUND_S / 4

    assert seconds_of(device, work) == pytest.approx(timing.ROUND_S / 4)
    assert len(calls) == 2 + 4 * timing.ROUNDS


def test_the_limit_is_the_slower_of_moving_and_computing():
    limits = Limits(bytes_per_s=100.0, flops_per_s=1000.0)
    assert limits.seconds(moved=200, flops=1000) == 2.0
    assert limits.seconds(moved=200, flops=5000) == 5.0


@pytest.mark.parametrize(
    ("rows", "window", "expected"),
    [
        ([(1, 100), (1, 28)], None, (128, 128)),
        ([(3, 3)], None, (3, 1 + 2 + 3)),
        ([(2, 10)], None, (10, 9 + 10)),
        ([(1, 100), (1, 5)], 8, (8 + 5, 8 + 5)),
        ([(4, 10)], 3, (3 + 3, 4 * 3)),
    ],
)
def test_keys_and_pairs_of_attention(rows, window, expected):
    assert attended(rows, window) == expected


def test_a_linear_moves_its_weight_and_its_activations():
    x_TK, out_TN = torch.zeros(4, 8, dtype=torch.bfloat16), torch.zeros(4, 16, dtype=torch.bfloat16)
    assert linear_cost((x_TK,), out_TN) == (2 * (8 * 16 + 4 * 8 + 4 * 16), 2 * 4 * 8 * 16)
    assert num_bytes((x_TK, None, (out_TN, 3))) == 2 * (4 * 8 + 4 * 16)


def test_gate_and_up_in_one_read_both_and_write_their_product():
    x_TK, out_TI = torch.zeros(4, 8, dtype=torch.bfloat16), torch.zeros(4, 16, dtype=torch.bfloat16)
    moved, flops = gated_cost((x_TK, None), out_TI)
    assert (moved, flops) == (2 * (8 * 32 + 4 * 8 + 4 * 16), 2 * 4 * 8 * 32)


def test_rows_and_contexts_are_read():
    assert contexts_of("1x32768+3x512") == [32768, 512, 512, 512]
    for bad in ("64", "x5", "0x5", "2x0", "2x5+", "-1x5"):
        with pytest.raises(UsageError, match="ROWSxCONTEXT"):
            contexts_of(bad)


def test_every_call_of_a_pass_is_found_with_its_own_weights_and_caches(tiny):
    options = {"max_num_seqs": 2, "max_num_batched_tokens": 2, "num_blocks": 20}
    config = EngineConfig.of(str(tiny), dtype="float32", max_model_len=32, **options)
    built = build(config, Host.of(config.plugins))
    step = LargestStep(built.scheduler, built.choices, built.model, built.groups, 16)
    before = set(vars(built.choices.attention))
    with torch.inference_mode(), Capture(built, [1, 1], [9, 5]) as capture:
        step()
    kinds = [call.kind for call in capture.calls]
    for kind in ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "attention", "activation"):
        assert kinds.count(kind) == 3, kind
    assert (kinds.count("norm"), kinds.count("lm_head"), kinds.count("embedding")) == (7, 1, 1)
    assert sum(call.is_linear for call in capture.calls) == 3 * 4 + 1
    linears = [call.run for call in capture.calls if call.kind == "down_proj"]
    assert len({id(run.func.__self__) for run in linears}) == 3  # layers
    assert len({id(run.args[0]) for run in linears}) == 1  # activations
    (attention, *_) = (call for call in capture.calls if call.kind == "attention")
    assert attention.moved == (9 + 5) * 2 * 2 * 16 * 4 + 2 * (2 * 6 * 16 * 4)
    assert attention.flops == 4 * 6 * 16 * (9 + 5)
    assert set(vars(built.choices.attention)) == before  # nothing is watched any more
    assert all("forward" not in vars(module) for module in built.model.modules())


def test_a_roofline_of_a_tiny_model(tiny, capsys):
    words = ["--batch-size", "1", "3", "--input-len", "20", "--prefill", "24", "--num-iters", "2"]
    words += ["--attention", "2x30+1x40", "--dtype", "float32", "--json"]
    assert main(["bench", "roofline", "--model", str(tiny), *words]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["copy_gb_per_s"] > 0 and values["matmul_tflop_per_s"] > 0
    assert [step["rows"] for step in values["decode"]] == [1, 3]
    assert (values["prefill"]["tokens"], values["prefill"]["rows"]) == (24, 1)
    for step in [*values["decode"], values["prefill"]]:
        parts = step["parts"]
        assert step["sum_ms"] == pytest.approx(sum(p["ms"] for p in parts.values()), abs=1e-3)
        limits = sum(kernel["limit_ms"] for kernel in step["kernels"])
        assert step["limit_ms"] == pytest.approx(limits, abs=2e-3)
        assert parts["linears"]["calls"] == 13
    charts = PAGES["roofline"](values).charts
    assert [chart.title for chart in charts][-1] == "Prompt of 24 tokens"
    shown = text(values)
    assert "gate_up_proj" in shown and "2x30+1x40" in shown and "prompt of 24 tokens" in shown


def test_without_a_prompt_none_is_measured(tiny, capsys):
    words = ["--batch-size", "2", "--input-len", "9", "--prefill", "0", "--num-iters", "1"]
    assert main(["bench", "roofline", "--model", str(tiny), *words, "--attention", "1x9"]) == 0
    assert "prompt" not in capsys.readouterr().out


def test_a_size_of_nothing_is_refused(tiny, capsys):
    assert main(["bench", "roofline", "--model", str(tiny), "--batch-size", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
