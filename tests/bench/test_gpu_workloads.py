"""The GPU benchmark's workloads, what its drivers measure, and what its clients saw."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from bench.gpu import offline
from bench.gpu.served_figures import figures, median_of, window_rate
from bench.gpu.serving import ARRIVALS, flags_of
from bench.gpu.workloads import Source, read_w3


def test_the_workloads_are_those_of_the_published_figures():
    source = Source(128_000)
    sizes = {name: source.workload(name, 0) for name in ("w1", "w2", "w3")}
    assert {n: (len(b.prompts), b.num_in, b.num_out) for n, b in sizes.items()} == {
        "w1": (512, 262_144, 131_072),
        "w2": (256, 262_144, 32_768),
        "w3": (1000, 220_000, 190_000),
    }
    expected = np.random.default_rng(30_007).integers(0, 128_000, size=read_w3()["lengths"][7][0])
    assert sizes["w3"].prompts[7] == expected.tolist()


def test_no_prompt_comes_twice():
    source = Source(128_000, requests=0.02)
    batches = [source.workload("w1", 0), source.workload("w1", 1)]
    batches += [source.fresh(4, 512, 1), source.fresh(4, 512, 1)]
    prompts = [tuple(prompt) for batch in batches for prompt in batch.prompts]
    assert len(set(prompts)) == len(prompts) == 28


def test_every_rate_has_its_arrivals():
    listed = read_w3()["arrivals"]
    for rate, count in ARRIVALS.items():
        assert len(listed[str(rate)]) >= count >= 300
    assert listed["64"][ARRIVALS[64] - 1] >= 19  # the window ends at second 20


class Fake:
    """Prefills in 5 ms and decodes in 2 ms a step, or a little more, on a clock of its own."""

    version = "1"

    def __init__(self, short=0):
        self.sizes = []
        self.now = 0.0
        self._short = short

    def generate(self, batch):
        self.sizes.append((len(batch.prompts), len(batch.prompts[0]), batch.lengths[0]))
        step = {0: 0.002, 1: 0.0022, 3: 0.0021}[len(batch.sampling)]
        self.now += 0.005 + step * (batch.lengths[0] - 1)
        return batch.num_out - self._short


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(offline.time, "perf_counter", lambda: fake.now)
    return fake


def run(tmp_path, fake, *sections):
    results = tmp_path / "results.jsonl"
    args = argparse.Namespace(
        sections=sections, results=results, started=0.0, limit=1000, requests=0.1, tokens=1, reps=2
    )
    offline.run(args, lambda clock: fake)
    return [json.loads(line) for line in results.read_text().splitlines()]


def test_a_decode_step_is_what_more_tokens_add(tmp_path, fake):
    lines = run(tmp_path, fake, "batch")
    assert [line["section"] for line in lines] == ["start"] + [f"batch{n}" for n in (1, 8, 32, 128)]
    assert [line["ms_per_step"] for line in lines[1:]] == [2.0] * 4
    assert lines[2]["tok_s"] == 4000.0  # 8 rows
    assert fake.sizes[2:12] == [(1, 128, 1)] * 6 + [(1, 128, 256)] * 4
    assert fake.sizes[12:] == [
        (n, 512, out) for n in (8, 32, 128) for out in (32, 128) for _ in range(4)
    ]


def test_ways_to_pick_tokens_are_held_to_greedy_steps(tmp_path, fake):
    line = run(tmp_path, fake, "sampled")[1]
    assert (line["greedy_ms"], line["sampled_ms"], line["logprobs_ms"]) == (2.0, 2.1, 2.2)
    assert (line["sampled_ratio"], line["logprobs_ratio"]) == (1.05, 1.1)
    assert fake.sizes[2:] == [(26, 352, 32), (26, 352, 288)] * 3 * 4


def test_sections_write_their_figures(tmp_path, fake):
    lines = run(tmp_path, fake, "w2", "ttft", "prefill")
    assert [line["section"] for line in lines] == ["start", "w2", "ttft", "prefill"]
    assert len(lines[1]["all_seconds"]) == 2
    assert lines[2] == {"section": "ttft", "in128_ms": 5.0, "in512_ms": 5.0}


def test_a_missing_token_is_no_result(tmp_path):
    with pytest.raises(SystemExit, match="asked for 96 tokens, got 95"):
        run(tmp_path, Fake(short=1), "w1")


def outcome(sent, *pieces, tokens=None, error=None):
    ended = pieces[-1] if pieces else sent
    return {
        "late": 0.0,
        "sent": sent,
        "pieces": list(pieces),
        "num_output": len(pieces) if tokens is None else tokens,
        "ended": ended,
        "error": error,
    }


def test_times_of_a_served_load():
    seen = [outcome(100.0, 100.02, 100.03, 100.05), outcome(101.0, 101.04), outcome(1, error="no")]
    found = figures(seen, at=100.0, last_arrival=1.0)
    assert (found["requests"], found["failed"], found["failures"]) == (3, 1, {"no": 1})
    assert (found["ttft_p50_ms"], found["itl_p50_ms"]) == (30.0, 15.0)
    assert found["req_s"] == round(2 / 1.04, 2)
    assert found["window_tok_s"] is None


def test_the_window_leaves_out_ramp_and_drain_and_counts_tokens_of_pieces():
    seen = [outcome(0.0, 4.9, 5.0, 19.9, 20.0, tokens=8)]
    assert window_rate(seen, 0.0, 37.0) == round(4 / 15, 1)
    assert window_rate(seen, 0.0, 10.0) == round(2 / 5, 1)


def test_runs_are_medians_and_failures_add_up():
    runs = [
        {"ttft_p50_ms": value, "failed": 1, "failures": {"x": 1}, "window_tok_s": None}
        for value in (10.0, 20.0)
    ]
    found = median_of(runs)
    assert (found["ttft_p50_ms"], found["failed"], found["failures"]) == (15.0, 2, {"x": 2})
    assert "window_tok_s" not in found


def test_options_become_flags():
    options = {"max_model_len": 8, "enable_prefix_caching": False, "enforce_eager": True}
    assert flags_of(options) == [
        "--max-model-len",
        "8",
        "--no-enable-prefix-caching",
        "--enforce-eager",
    ]
