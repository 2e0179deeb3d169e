"""The simulator: exact times under a simple cost model, traces, and the command."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from traces import Desk

from inferd.errors import UsageError
from inferd.scheduling.simulate import Arrival, CostModel, Report, load_trace, simulate
from inferd.scheduling.simulate.__main__ import main
from inferd.scheduling.simulate.report import percentiles
from inferd.types import StepPlan

STEP_10MS = CostModel(overhead_ms=10, weights_ms=0, token_ms=0, context_ms=0)


def run(trace: list[Arrival], cost: CostModel = STEP_10MS, **desk: object) -> Report:
    return simulate(Desk(**desk).scheduler, trace, cost)


def test_a_lone_request_takes_a_step_per_token() -> None:
    report = run([Arrival(8, 5)])
    assert report.seconds == pytest.approx(0.05)
    assert report.ttft_ms["p50"] == pytest.approx(10)
    assert report.tpot_ms["p99"] == pytest.approx(10)
    assert report.output_tokens_per_s == pytest.approx(100)
    assert report.total_tokens_per_s == pytest.approx(260)
    assert (report.steps, report.computed_tokens, report.preemptions) == (5, 12, 0)


def test_a_request_that_arrives_during_a_step_waits_for_those_in_flight() -> None:
    """It comes at 5 ms; with one step ahead, the step that ends at 20 ms is submitted already."""
    trace = [Arrival(4, 6), Arrival(4, 6, at=0.005)]
    sync, ahead = run(trace, depth=0), run(trace, depth=1)
    assert sync.ttft_ms["p99"] == pytest.approx(15)
    assert ahead.ttft_ms["p99"] == pytest.approx(25)


def test_time_passes_while_nobody_is_there() -> None:
    report = run([Arrival(4, 1, at=1.0), Arrival(4, 1, at=3.0)])
    assert report.seconds == pytest.approx(3.01)
    assert report.ttft_ms == pytest.approx({"p50": 10, "p90": 10, "p99": 10})


def test_shared_prefixes_are_computed_once() -> None:
    trace = [Arrival(20, 1, prefix="system", prefix_tokens=16) for _ in range(4)]
    assert run(trace, budget=64).cached_tokens == 3 * 16
    assert run(trace, budget=64, caching=False).cached_tokens == 0


def test_a_pool_too_small_preempts_and_a_request_too_long_is_refused() -> None:
    report = run([Arrival(8, 8), Arrival(8, 8), Arrival(200, 8)], blocks=7, depth=0)
    assert (report.requests, report.refused, report.preemptions) == (2, 1, 1)
    assert report.kv_peak == 1.0


def test_kv_use_and_waste_are_of_allocated_slots() -> None:
    """Steps hold 5, 6 and 7 tokens in two blocks of four, out of 10."""
    report = run([Arrival(5, 3)], blocks=11, depth=0)
    assert report.kv_mean == pytest.approx(2 / 10)
    assert report.kv_waste == pytest.approx((3 + 2 + 1) / 24)


def test_it_is_deterministic() -> None:
    trace = [Arrival(3 + i % 9, 2 + i % 5, at=i / 300, priority=i % 2) for i in range(40)]
    first, second = (run(trace, CostModel(), priority=True, blocks=20) for _ in range(2))
    assert first == second


def test_the_cost_is_the_greater_of_weights_and_arithmetic_and_then_the_context() -> None:
    cost = CostModel(overhead_ms=1, weights_ms=5, token_ms=0.5, context_ms=0.01)
    few = StepPlan(0, [0, 1], [1, 2], [1, 1], [100, 300], [True, True])
    many = StepPlan(0, [0], [1], [20], [0], [True])
    assert cost.step_ms(few) == pytest.approx(1 + 5 + 4.02)
    assert cost.step_ms(many) == pytest.approx(1 + 10 + 0.2)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles(range(1, 101)) == {"p50": 50, "p90": 90, "p99": 99}
    assert percentiles([7.0]) == {"p50": 7.0, "p90": 7.0, "p99": 7.0}
    assert all(math.isnan(value) for value in percentiles([]).values())


def write(path: Path, **columns: object) -> Path:
    path = path / "trace.json"
    path.write_text(json.dumps(columns))
    return path


def test_a_trace_is_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        lengths=[[8, 2], [9, 3]],
        arrivals=[2.0, 1.0],
        prefixes=[["a", 4], ["", 0]],
        priorities=[1, 0],
        note="other keys are ignored",
    )
    assert load_trace(path) == [Arrival(9, 3, 1.0), Arrival(8, 2, 2.0, "a", 4, 1)]


def test_arrivals_by_rate_start_the_lengths_over(tmp_path: Path) -> None:
    path = write(tmp_path, lengths=[[8, 2], [9, 3]], arrivals={"1": [1.0], "2": [1.0, 2.0, 3.0]})
    assert [each.prompt_tokens for each in load_trace(path, "2")] == [8, 9, 8]
    assert load_trace(path) == [Arrival(8, 2), Arrival(9, 3)]


@pytest.mark.parametrize(
    ("columns", "rate", "text"),
    [
        ({"lengths": [[8]]}, None, "is not a trace"),
        ({}, None, "is not a trace"),
        ({"lengths": []}, None, "above 0"),
        ({"lengths": [[8, 0]]}, None, "above 0"),
        ({"lengths": [[8, 1]], "arrivals": {"4": [0.0]}}, "3", "no arrivals at rate 3; it has 4"),
        ({"lengths": [[8, 1]]}, "3", "it has none"),
    ],
)
def test_a_bad_trace_says_what_is_wrong(
    tmp_path: Path, columns: dict[str, object], rate: str | None, text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        load_trace(write(tmp_path, **columns), rate)


def test_prompts_share_their_prefix_and_nothing_else() -> None:
    one, two = (Arrival(8, 1, prefix="a", prefix_tokens=5).request(i).prompt_ids for i in (0, 1))
    other = Arrival(8, 1, prefix="b", prefix_tokens=5).request(2).prompt_ids
    assert one[:5] == two[:5]
    assert not set(one[5:]) & set(two[5:])
    assert not set(other) & {*one, *two}


def test_the_command_prints_a_table_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, lengths=[[8, 2]] * 3))
    assert main([path, "--num-blocks", "64"]) == 0
    assert "requests               3 served, 0 refused" in capsys.readouterr().out
    assert main([path, "--num-blocks", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 3


def test_the_command_ends_with_code_2_when_there_is_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.json")]) == UsageError.exit_code
    assert "cannot read the trace" in capsys.readouterr().err


def test_it_runs_as_a_module_without_torch(tmp_path: Path) -> None:
    path = write(tmp_path, lengths=[[8, 2]])
    code = (
        "import runpy, sys; sys.argv = ['simulate', sys.argv[1]]\n"
        "try: runpy.run_module('inferd.scheduling.simulate', run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 7 * ('torch' in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "throughput" in done.stdout
