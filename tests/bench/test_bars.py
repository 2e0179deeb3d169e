"""Medians over rounds, ratios and the bars, on written figures."""

from __future__ import annotations

import pytest
from bench.peers.bars import BARS, bars_table, compare, figures_table, median, memory_bar

NAMES = ("ready_s", "ttft_ms", "decode_tok_s", "batch_out_tok_s", "shared_out_tok_s", "pss_mb")
DETAILS = {"weight_bytes": 269_000_000, "kv_bytes": 4_000_000_000}


def run(*values, **more):
    return dict(zip(NAMES, values, strict=True)) | {"details": {}} | more


RUNS = {
    "inferd": [
        run(3.0, 100.0, 60.0, 1000.0, 1100.0, 900.0),
        run(3.1, 90.0, 50.0, 1200.0, 1300.0, 900.0),
        run(2.9, 120.0, 55.0, 1100.0, 1200.0, 900.0),
    ],
    "inferd_served": [run(4.0, None, None, 900.0, None, 950.0, details=DETAILS)],
    "vllm": [run(60.0, 110.0, 30.0, 700.0, 800.0, 4800.0)],
    "hf": [run(8.0, 181.0, 25.0, 74.0, None, 7400.0)],
    "llama": [run(1.0, 972.0, 56.0, None, None, None)],
}


def by_name(runs):
    return {row["bar"]: row for row in compare(runs)}


def test_medians_leave_out_what_was_not_measured():
    assert median(RUNS, "inferd", "decode_tok_s") == 55.0
    assert median(RUNS, "llama", "batch_out_tok_s") is None
    assert median(RUNS, "nobody", "ready_s") is None


def test_the_bars_are_the_projects():
    found = [(bar.figure, bar.theirs, bar.factor, bar.at_most) for bar in BARS]
    assert found == [
        ("decode_tok_s", "vllm", 1.5, False),
        ("decode_tok_s", "llama", 0.9, False),
        ("ttft_ms", "vllm", 1.0, True),
        ("batch_out_tok_s", "vllm", 1.4, False),
        ("batch_out_tok_s", "hf", 10.0, False),
        ("shared_out_tok_s", "vllm", 1.4, False),
        ("ready_s", "vllm", 0.1, True),
    ]


def test_ratios_of_medians_and_their_verdicts():
    rows = by_name(RUNS)
    assert rows["one stream after 512 tokens, vs vLLM"]["found"] == round(55 / 30, 3)
    assert {name: row["holds"] for name, row in rows.items()} == {
        "one stream after 512 tokens, vs vLLM": True,
        "one stream after 512 tokens, vs llama.cpp": True,
        "first token of 512, vs vLLM": True,
        "64 requests, vs vLLM": True,
        "64 requests, vs transformers": True,
        "64 with a shared prefix, vs vLLM": True,
        "start to first token, vs vLLM": True,
        "PSS of inferd serve, MB": True,
    }


@pytest.mark.parametrize(
    ("figure", "value", "bar"),
    [
        ("decode_tok_s", 44.0, "one stream after 512 tokens, vs vLLM"),
        ("decode_tok_s", 50.0, "one stream after 512 tokens, vs llama.cpp"),
        ("ttft_ms", 110.1, "first token of 512, vs vLLM"),
        ("batch_out_tok_s", 979.0, "64 requests, vs vLLM"),
        ("batch_out_tok_s", 739.0, "64 requests, vs transformers"),
        ("shared_out_tok_s", 1119.0, "64 with a shared prefix, vs vLLM"),
    ],
)
def test_a_figure_just_short_misses_its_bar(figure, value, bar):
    runs = RUNS | {"inferd": [RUNS["inferd"][0] | {figure: value}]}
    assert by_name(runs)[bar]["holds"] is False
    assert any(line[0] == bar and line[-1] == "MISSED" for line in bars_table(compare(runs)))


def test_start_is_that_of_the_server():
    runs = RUNS | {"inferd_served": [RUNS["inferd_served"][0] | {"ready_s": 6.1}]}
    assert by_name(runs)["start to first token, vs vLLM"]["holds"] is False


def test_memory_is_weights_and_cache_and_slack():
    assert memory_bar(RUNS)["needed"] == "<= 4969"
    heavy = {"inferd_served": [run(4.0, None, None, 9.0, None, 4970.0, details=DETAILS)]}
    assert memory_bar(heavy)["holds"] is False
    assert memory_bar({})["holds"] is None


def test_a_missing_peer_is_not_measured_rather_than_won():
    rows = by_name({"inferd": RUNS["inferd"]})
    assert {row["holds"] for row in rows.values()} == {None}
    assert {line[-1] for line in bars_table(list(rows.values()))[1:]} == {"not measured"}


def test_the_table_shows_the_spread():
    rows = {row[0]: row[1:] for row in figures_table(RUNS)}
    assert rows["inferd"][2] == "55 [50-60]"
    assert rows["llama"] == ["1", "972", "56", "-", "-", "-"]
    assert len(rows["engine"]) == len(NAMES)
