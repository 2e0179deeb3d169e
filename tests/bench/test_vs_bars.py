"""The bars of inferd beside vLLM: which there are, and where they begin to fail."""

from __future__ import annotations

import pytest
from bench.gpu.vs_bars import BARS, compare, lines

OURS = {
    "w1": {"out_tok_s": 10_000.0, "seconds": 13.1},
    "w3": {"out_tok_s": 11_500.0},
    "batch1": {"ms_per_step": 5.6},
    "batch128": {"ms_per_step": 9.4},
    "served64": {"ttft_p50_ms": 70.0, "window_tok_s": 115.0, "failures": {}, "runs": []},
    "sampled": {"sampled_ms": 12.6, "sampled_ratio": 1.05, "logprobs_ratio": 1.08},
    "startup": {"over_torch_s": 6.0},
}
THEIRS = {
    "w1": {"out_tok_s": 10_000.0, "seconds": 13.1},
    "w3": {"out_tok_s": 10_000.0},
    "batch1": {"ms_per_step": 6.5},
    "batch128": {"ms_per_step": 10.0},
    "served64": {"ttft_p50_ms": 100.0, "window_tok_s": 100.0, "failures": {}, "runs": []},
    "startup": {"import_s": 30.0},
}
AT_THE_BAR = [
    ("w1", "out_tok_s", 9_999.0),
    ("w3", "out_tok_s", 11_499.0),
    ("batch1", "ms_per_step", 5.61),
    ("batch128", "ms_per_step", 9.41),
    ("served64", "ttft_p50_ms", 70.1),
    ("served64", "window_tok_s", 114.9),
    ("sampled", "sampled_ratio", 1.051),
    ("sampled", "logprobs_ratio", 1.081),
    ("startup", "over_torch_s", 6.01),
]


def verdicts(ours, theirs):
    rows = compare({"inferd": ours, "vllm": theirs})
    return {(row["section"], row["figure"]): row["holds"] for row in rows}


@pytest.mark.parametrize(("section", "figure", "worse"), AT_THE_BAR)
def test_a_bar_holds_exactly_up_to_its_value(section, figure, worse):
    assert verdicts(OURS, THEIRS)[section, figure] is True
    changed = OURS | {section: OURS[section] | {figure: worse}}
    assert verdicts(changed, THEIRS)[section, figure] is False


def test_without_the_peer_only_absolute_bars_are_judged():
    found = verdicts(OURS, {})
    assert found["batch1", "ms_per_step"] is True
    assert found["w1", "out_tok_s"] is found["served64", "ttft_p50_ms"] is None
    assert found["w1", "out_tok_s, beside transformers"] is None
    shown = {line[0]: line[-1] for line in lines(compare({"inferd": OURS}))}
    assert shown["w1 out_tok_s"] == shown["w1 out_tok_s, beside transformers"] == "not judged"
    assert shown["sampled sampled_ratio"] == "holds"


def test_another_shape_has_no_bars():
    rows = compare({"inferd": OURS, "vllm": THEIRS}, judge=False)
    assert {row["bar"] for row in rows} == {row["holds"] for row in rows} == {None}
    assert rows[0]["ratio"] == 1.0


def test_every_served_rate_bounds_both_times():
    served = {place: str(bar) for place, bar in BARS.items() if place[0].startswith("served")}
    assert len(served) == 18
    assert served["served8", "itl_p99_ms"] == served["served64", "ttft_p99_ms"] == "<= 1.1x"
    assert served["served32", "ttft_p50_ms"] == "<= 1.05x"
    assert served["served64", "ttft_p50_ms"] == "<= 0.7x"


def test_figures_of_either_engine_are_shown_and_details_are_not():
    shown = [line[0] for line in lines(compare({"inferd": OURS, "vllm": THEIRS}))]
    assert "w1 seconds" in shown and "startup import_s" in shown
    assert not any("failures" in name or "runs" in name for name in shown)


def test_transformers_have_a_row_of_their_own():
    found = {"inferd": OURS, "hf": {"w1": {"out_tok_s": 1_176.0}}}
    row = compare(found)[-1]
    assert (row["bar"], row["ratio"], row["holds"]) == (">= 8.5x", 8.503, True)
