"""Where a benchmark's prompts come from."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from inferd.cli import main
from inferd.cli.bench.workload import Job, add_workload_flags, jobs_of, trace_arrivals
from inferd.errors import UsageError


def jobs(*words, vocab_size=1000, seed=0):
    parser = argparse.ArgumentParser()
    add_workload_flags(parser, num_prompts=4)
    return jobs_of(parser.parse_args([*map(str, words)]), vocab_size, seed)


@pytest.fixture
def write(tmp_path):
    def make(content):
        path = tmp_path / "data.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return make


def test_drawn_prompts_follow_the_documented_formula():
    found = jobs("--input-len", 5, "--output-len", 7, seed=10_000)
    assert len(found) == 4
    for i, job in enumerate(found):
        assert job.prompt_ids == np.random.default_rng(10_000 + i).integers(0, 1000, 5).tolist()
        assert job.output_len == 7


def test_vocab_size_bounds_the_ids():
    assert max(i for job in jobs("--vocab-size", 3) for i in job.prompt_ids) == 2


def test_prompts_from_a_file_with_keys(write):
    path = write(
        {"main": [{"ids": [1, 2]}, {"ids": [3], "output_len": 9}], "other": [{"ids": [4]}]}
    )
    assert jobs("--dataset-path", path, "--output-len", 5) == [Job([1, 2], 5), Job([3], 9)]
    assert jobs("--dataset-path", path, "--num-prompts", 1) == [Job([1, 2], 128)]
    assert jobs("--dataset-path", path, "--dataset-key", "other") == [Job([4], 128)]


def test_lengths_and_arrivals_from_a_trace(write):
    path = write({"lengths": [[3, 8], [5, 2], [9, 9]], "arrivals": {"8": [0.1, 0.2], "0.5": [4.0]}})
    found = jobs("--dataset-path", path, "--num-prompts", 2)
    assert [(len(job.prompt_ids), job.output_len) for job in found] == [(3, 8), (5, 2)]
    assert trace_arrivals(path, 8.0) == [0.1, 0.2]
    assert trace_arrivals(path, 0.5) == [4.0]
    with pytest.raises(UsageError, match=r"no arrivals for 9 requests/s; it has: 8, 0\.5"):
        trace_arrivals(path, 9.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "--dataset-path"),
        ({"main": [{"text": "x"}]}, "'main'; its keys: main"),
        ({"prompts": []}, "its keys: prompts"),
        ([[1, 2]], "holds no list of prompts"),
    ],
)
def test_a_bad_file_is_named(write, content, message):
    with pytest.raises(UsageError, match=message):
        jobs("--dataset-path", write(content))


def test_nothing_to_do_is_refused():
    with pytest.raises(UsageError, match="--num-prompts must be at least 1"):
        jobs("--num-prompts", 0)


def test_bench_says_what_it_can_measure(capsys):
    assert main(["bench"]) == 2
    assert "inferd bench throughput|latency|serve|startup|" in capsys.readouterr().err
