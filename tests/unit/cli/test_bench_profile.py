"""From a written trace to GPU busy, gaps and the host's part; a profile of a tiny model."""

from __future__ import annotations

import json

import pytest

from inferd.cli import main
from inferd.cli.bench.profile import text
from inferd.cli.bench.trace import busy, calls, read_events, union
from inferd.testing.tiny import write_checkpoint


def event(cat, name, ts, dur):
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}


EVENTS = [
    event("kernel", "gemm", 0.0, 60.0),
    event("kernel", "norm", 50.0, 20.0),  # overlaps: counts once
    event("gpu_memcpy", "copy", 80.0, 10.0),
    event("kernel", "gemm", 95.0, 5.0),
    event("cuda_runtime", "cudaGraphLaunch", 0.0, 7.0),
    event("cuda_runtime", "cudaEventSynchronize", 10.0, 40.0),
    event("cpu_op", "aten::mm", 0.0, 1000.0),
]
HEAD = {
    "model": "m",
    "dtype": "float32",
    "architecture": "a",
    "threads": 1,
    "torch": "2",
    "inferd": "0",
    "batch_size": 8,
    "input_len": 64,
    "mixed": 0,
    "steps": 2,
    "sampling": "greedy",
    "ms_per_step": 0.05,
    "profiled_ms_per_step": 0.05,
}


def test_busy_is_the_union_over_the_wall():
    found = busy(EVENTS)
    assert found["gpu_busy"] == 0.85
    assert found["kernels"][0] == {
        "name": "gemm",
        "count": 2,
        "total_ms": 0.065,
        "median_us": 32.5,
    }


def test_gaps_are_named_by_what_came_late():
    found = busy(EVENTS)["gaps"]
    assert (found["count"], found["total_us"], found["largest_us"]) == (2, 15.0, 10.0)
    assert found["before_us"] == {"copy": 10.0, "gemm": 5.0}


def test_the_host_does_not_count_what_it_waits():
    found = calls(EVENTS, steps=2, ms_per_step=0.05)
    assert found["waited_ms_per_step"] == 0.02
    assert found["host_ms_per_step"] == pytest.approx(0.03)
    assert found["calls_per_step"]["cudaGraphLaunch"] == [0.5, 3.5]


def test_intervals_inside_others_vanish():
    assert union([(0, 10), (2, 4), (10, 12), (13, 14)]) == [(0, 12), (13, 14)]


def test_a_report_with_and_without_a_gpu(tmp_path):
    file = tmp_path / "trace.json"
    file.write_text(json.dumps({"traceEvents": [*EVENTS, {"ph": "M", "name": "process"}]}))
    events = read_events(file)
    assert len(events) == len(EVENTS)
    shown = text({**HEAD, **busy(events), **calls(events, 2, 0.05)})
    assert "85.00% of 0.1 ms" in shown and "gap before" in shown
    alone = [each for each in events if each["cat"] == "cpu_op"]
    assert "no kernel in the trace" in text({**HEAD, **busy(alone), **calls(alone, 2, 0.05)})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    write_checkpoint(path, num_hidden_layers=2)
    return str(path)


def bench(tiny, *words):
    return main(["bench", "profile", "--model", tiny, "--dtype", "float32", *words])


@pytest.mark.parametrize("mixed", [0, 6])
def test_the_operators_of_real_steps_are_counted_per_step(tiny, capsys, tmp_path, mixed):
    trace = tmp_path / "trace.json"
    sizes = ["--batch-size", "3", "--input-len", "20", "--num-iters", "4", "--mixed", str(mixed)]
    assert bench(tiny, *sizes, "--trace", str(trace), "--no-async-scheduling", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    linears = [row for row in values["operators"] if "linear" in row["name"]]
    assert sum(row["calls"] for row in linears) == 2 * 4 + 1
    assert values["operators_ms_per_step"] > 0
    names = {event["name"] for event in read_events(trace)}
    assert linears[0]["name"] in names
    assert "operator, without those inside it" in text(values)


def test_more_sequences_than_fit_are_refused(tiny, capsys):
    words = ["--batch-size", "3", "--input-len", "20", "--num-iters", "1"]
    assert bench(tiny, *words, "--max-num-seqs", "2") == 2
    assert "--max-num-seqs 2" in capsys.readouterr().err
    assert bench(tiny, *words, "--num-blocks", "8", "--max-model-len", "96") == 2
    assert "blocks of KV cache" in capsys.readouterr().err


def test_a_trace_goes_to_a_folder_that_is_there(tiny, capsys, tmp_path):
    assert bench(tiny, "--trace", str(tmp_path / "no" / "trace.json")) == 2
    assert "there is no folder" in capsys.readouterr().err
