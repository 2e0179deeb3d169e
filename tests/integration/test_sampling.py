"""What SamplingParams ask for, through LLM, against transformers' logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hf
import pytest
import torch
from prompts import random_prompts

from inferd import LLM, SamplingParams

LLAMA = "LlamaForCausalLM"
PROMPT = random_prompts(37, seed=9)[0]
EOS = 257


def ask(llm: LLM, prompt: Any = PROMPT, **params: Any) -> Any:
    merged = {"temperature": 0.0, "max_tokens": 12, "ignore_eos": True} | params
    return llm.generate(prompt, SamplingParams(**merged))[0]


def ids(llm: LLM, **params: Any) -> list[int]:
    return ask(llm, **params).outputs[0].token_ids


@pytest.fixture
def path(checkpoints: dict[str, Path]) -> Path:
    return checkpoints[LLAMA]


def reference(path: Path, num_tokens: int, change: Any) -> list[int]:
    """Greedy over transformers' logits after `change(logits, prompt and output, output)`."""
    output: list[int] = []
    for _ in range(num_tokens):
        logits = hf.logits(path, PROMPT + output)[-1].clone()
        output.append(int(change(logits, PROMPT + output, output).argmax()))
    return output


def test_logprobs(shared_llm: LLM, path: Path) -> None:
    sample = ask(shared_llm, logprobs=5, temperature=0.8, seed=4).outputs[0]
    expected = hf.logprobs(path, PROMPT + sample.token_ids)[len(PROMPT) - 1 : -1]
    total = 0.0
    for token, candidates, row in zip(sample.token_ids, sample.logprobs, expected, strict=True):
        assert next(iter(candidates)) == token
        assert set(candidates) == {token, *row.topk(5).indices.tolist()}
        for token_id, candidate in candidates.items():
            assert candidate.logprob == pytest.approx(float(row[token_id]), abs=1e-4)
            assert candidate.rank == int((row > row[token_id]).sum()) + 1
        total += float(row[token])
    assert sample.cumulative_logprob == pytest.approx(total, abs=1e-3)


def test_logprobs_zero_is_the_chosen_token_alone(shared_llm: LLM) -> None:
    sample = ask(shared_llm, logprobs=0).outputs[0]
    assert [list(c) for c in sample.logprobs] == [[token] for token in sample.token_ids]


@pytest.mark.parametrize("budget", [256, 16])
def test_prompt_logprobs(make_llm: Any, path: Path, budget: int) -> None:
    llm = make_llm(max_num_batched_tokens=budget)
    ask(llm)  # the cache holds the prompt now: it is not read, for its logits are needed
    output = ask(llm, prompt_logprobs=3)
    first, *rest = output.prompt_logprobs
    assert first is None
    assert output.num_cached_tokens == 0
    expected = hf.logprobs(path, PROMPT)
    for token, candidates, row in zip(PROMPT[1:], rest, expected, strict=False):
        assert set(candidates) == {token, *row.topk(3).indices.tolist()}
        assert candidates[token].logprob == pytest.approx(float(row[token]), abs=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        {"repetition_penalty": 1.6},
        {"repetition_penalty": 0.7},
        {"presence_penalty": 1.5},
        {"frequency_penalty": -0.6},
        {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.8},
    ],
    ids=str,
)
def test_penalties(shared_llm: LLM, path: Path, params: Any) -> None:
    """vLLM's formulas: repetition over prompt and output, the others over the output."""

    def change(logits: torch.Tensor, known: list[int], output: list[int]) -> torch.Tensor:
        seen = torch.tensor(sorted(set(known)))
        factor = params.get("repetition_penalty", 1.0)
        old = logits[seen]
        logits[seen] = torch.where(old > 0, old / factor, old * factor)
        counts = torch.bincount(torch.tensor(output, dtype=torch.long), minlength=len(logits))
        logits -= params.get("frequency_penalty", 0.0) * counts
        logits -= params.get("presence_penalty", 0.0) * (counts > 0)
        return logits

    assert ids(shared_llm, **params) == reference(path, 12, change)
    assert ids(shared_llm, **params) != ids(shared_llm)


def test_bias_allowed_tokens_and_bad_words(shared_llm: LLM, path: Path) -> None:
    plain = ids(shared_llm)
    favourite = plain[0]

    def biased(logits: torch.Tensor, *_: Any) -> torch.Tensor:
        logits[favourite] -= 3.0
        logits[9] += 2.0
        return logits

    assert ids(shared_llm, logit_bias={favourite: -3.0, 9: 2.0}) == reference(path, 12, biased)
    allowed = sorted({1, 2, 3, *plain[:2]})

    def only(logits: torch.Tensor, *_: Any) -> torch.Tensor:
        masked = torch.full_like(logits, -torch.inf)
        masked[allowed] = logits[allowed]
        return masked

    assert ids(shared_llm, allowed_token_ids=allowed) == reference(path, 12, only)


def test_bad_words_never_come(shared_llm: LLM) -> None:
    llm = shared_llm
    params = {"temperature": 1.0, "seed": 3, "max_tokens": 60, "allowed_token_ids": [64, 65, 66]}
    text = ask(llm, **params).outputs[0].text
    assert set(text) == {"a", "b", "c"}
    assert "ab" in text
    assert "c" in text
    without = ask(llm, **params, bad_words=["ab", "c"]).outputs[0].text
    assert set(without) <= {"a", "b"}
    assert "ab" not in without


def test_stop_token_ids_and_min_tokens(shared_llm: LLM) -> None:
    plain = ids(shared_llm, temperature=1.0, seed=5, max_tokens=30)
    stop = plain[6]
    first = plain.index(stop)
    again = {"temperature": 1.0, "seed": 5, "max_tokens": 30, "stop_token_ids": [stop]}
    sample = ask(shared_llm, **again).outputs[0]
    assert sample.token_ids == plain[: first + 1]
    assert (sample.finish_reason, sample.stop_reason) == ("stop", stop)
    later = ask(shared_llm, **again, min_tokens=first + 3).outputs[0]
    assert stop not in later.token_ids[: first + 2]
    assert len(later.token_ids) >= first + 3


def test_the_end_of_sequence_and_ignoring_it(shared_llm: LLM) -> None:
    bias = {EOS: 100.0}
    sample = ask(shared_llm, logit_bias=bias, ignore_eos=False).outputs[0]
    assert (sample.token_ids, sample.text) == ([EOS], "")
    assert (sample.finish_reason, sample.stop_reason) == ("stop", None)
    ignoring = ask(shared_llm, logit_bias=bias).outputs[0]
    assert ignoring.token_ids == [EOS] * 12
    assert ignoring.finish_reason == "length"
    held = ask(shared_llm, logit_bias=bias, ignore_eos=False, min_tokens=4).outputs[0]
    assert held.token_ids[4:] == [EOS]
    assert EOS not in held.token_ids[:4]


@pytest.mark.parametrize("ahead", [True, False])
def test_stop_strings(make_llm: Any, ahead: bool) -> None:
    llm = make_llm(async_scheduling=ahead)
    letters = {"temperature": 2.0, "seed": 8, "max_tokens": 60}
    letters["allowed_token_ids"] = list(range(64, 90))
    text = ask(llm, **letters).outputs[0].text
    stop, at = text[7:10], 7
    assert text.count(stop) == 1
    sample = ask(llm, **letters, stop=["zz", stop]).outputs[0]
    assert (sample.text, sample.finish_reason, sample.stop_reason) == (text[:at], "stop", stop)
    assert len(sample.token_ids) == at + 3
    shown = ask(llm, **letters, stop=stop, include_stop_str_in_output=True).outputs[0]
    assert shown.text == text[: at + 3]
    late = ask(llm, **letters, stop=stop, min_tokens=at + 4).outputs[0]
    assert len(late.token_ids) >= at + 4
    assert late.text.startswith(text[: at + 3])
    assert llm._engine.stats().num_blocks_used == 0
