"""Throughput and latency of a tiny model: what is counted, not how fast it is."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest

from inferd.cli import main
from inferd.cli.bench.latency import text as latency_text
from inferd.cli.bench.throughput import MOST_POINTS, Watch
from inferd.testing.tiny import write_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    write_checkpoint(path, num_hidden_layers=2)
    return str(path)


def bench(capsys, *words):
    assert main(["bench", *words, "--dtype", "float32", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_throughput_counts_this_run_only(tiny, capsys):
    words = ["--num-prompts", "5", "--input-len", "20", "--output-len", "6", "--num-blocks", "64"]
    values = bench(capsys, "throughput", "--model", tiny, *words)
    assert (values["requests"], values["prompt_tokens"], values["output_tokens"]) == (5, 100, 30)
    assert values["prefix_queried_tokens"] == 100  # without the warm-up's
    assert values["prefix_hit_tokens"] == values["preemptions"] == 0
    assert values["total_tokens_per_s"] > values["output_tokens_per_s"]
    assert (values["dtype"], values["model"]) == ("float32", tiny)


def test_throughput_shows_prefix_hits(tiny, capsys, tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"ids": [*range(32), i]} for i in range(4)]))
    words = ["--dataset-path", str(path), "--output-len", "2", "--max-num-seqs", "1"]
    values = bench(capsys, "throughput", "--model", tiny, *words)
    assert values["prefix_hit_tokens"] == 3 * 32


def test_throughput_shows_preemptions(tiny, capsys):
    words = ["--num-prompts", "3", "--input-len", "30", "--output-len", "8", "--num-blocks", "8"]
    values = bench(capsys, "throughput", "--model", tiny, *words, "--max-model-len", "100")
    assert values["output_tokens"] == 24
    assert values["preemptions"] > 0


class Counting:
    """Stands for an LLM: counts the looks at it."""

    def __init__(self, looks):
        self.looks, self.seen_all = looks, threading.Event()

    def stats(self):
        self.looks -= 1
        if self.looks == 0:
            self.seen_all.set()
        return SimpleNamespace(num_blocks_used=4, num_running=2, num_waiting=1, num_tokens=8)


def test_a_watch_looks_until_the_batch_ends():
    llm = Counting(looks=3)
    with Watch(llm) as watch:
        assert llm.seen_all.wait(60)
    assert len(watch.seen) >= 3
    assert {seen[1:] for seen in watch.seen} == {(4, 2, 1, 8)}


def test_kv_use_is_of_what_was_seen():
    watch = Watch(None, [(0.5, 2, 2, 1, 0), (1.0, 6, 2, 1, 0)])
    assert watch.kv_use(num_blocks=8) == (0.75, 0.5)
    assert Watch(None, []).kv_use(num_blocks=8) == (0, 0)


def test_a_timeline_is_thinned_and_has_rates():
    watch = Watch(None, [(i * 0.5, i, 2, 1, i * 10) for i in range(MOST_POINTS + 1)])
    timeline = watch.timeline(num_blocks=1000)
    assert len(timeline) == MOST_POINTS // 2
    assert timeline[0] == {
        "seconds": 1.0,
        "kv_use": 0.002,
        "running": 2,
        "waiting": 1,
        "tokens_per_s": 20.0,
    }
    assert Watch(None, []).timeline(1000) == []


def test_latency_fits_over_the_contexts(tiny, capsys):
    words = ["--input-len", "16", "64", "--output-len", "4", "--num-iters", "1"]
    values = bench(capsys, "latency", "--model", tiny, *words, "--batch-size", "2")
    (batch,) = values["batches"]
    assert [row["mean_context"] for row in batch["contexts"]] == [18, 66]
    low, high = (row["ms_per_step"] for row in batch["contexts"])
    assert batch["fit_us_per_context_token"] == pytest.approx((high - low) / 48 * 1e3, abs=1e-3)


def test_latency_takes_sizes_of_batch_prompt_and_answer(tiny, capsys):
    words = ["--input-len", "8", "24", "--output-len", "3", "5", "--num-iters", "1"]
    values = bench(capsys, "latency", "--model", tiny, *words, "--batch-size", "1", "3")
    assert [batch["batch_size"] for batch in values["batches"]] == [1, 3]
    for batch in values["batches"]:
        sizes = [(row["input_len"], row["output_len"]) for row in batch["contexts"]]
        assert sizes == [(8, 3), (8, 5), (24, 3), (24, 5)]
        tokens = batch["contexts"][0]["output_tokens_per_s"]
        step_s = batch["contexts"][0]["ms_per_step"] / 1e3
        assert tokens == pytest.approx(batch["batch_size"] / step_s, rel=1e-2)
    assert "batch 3" in latency_text(values) and "us x context" in latency_text(values)


def test_latency_of_one_context_has_no_fit(tiny, capsys):
    words = ["--input-len", "16", "--output-len", "3", "--num-iters", "1"]
    values = bench(capsys, "latency", "--model", tiny, *words)
    assert values["batches"][0]["fit_fixed_ms"] is None


def test_latency_needs_a_second_token(tiny, capsys):
    assert main(["bench", "latency", "--model", tiny, "--output-len", "1"]) == 2
    assert "--output-len must be at least 2" in capsys.readouterr().err
