"""From a written trace to GPU busy, gaps and the host's part."""

from __future__ import annotations

import json

import pytest
from bench.gpu.trace_figures import busy, calls, read_events, report, union


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
    head = {"batch": 8, "context": 64, "mixed": 0, "steps": 2}
    head |= {"ms_per_step": 0.05, "ms_per_step_profiled": 0.05}
    shown = report({**head, **busy(events), **calls(events, 2, 0.05)})
    assert "85.00% of 0.1 ms" in shown and "gap before" in shown
    alone = [each for each in events if each["cat"] == "cpu_op"]
    assert "no kernel in the trace" in report({**head, **busy(alone), **calls(alone, 2, 0.05)})
