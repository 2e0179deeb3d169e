"""The engine on a GPU: transformers' tokens, recorded or not, one step ahead or not."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hardware import PLATFORM, no_waiting

from inferd import LLM, SamplingParams, StructuredOutputs
from inferd.runner.model_runner import ModelRunner
from inferd_grammar_llguidance.backend import LlguidanceMatcher

pytestmark = pytest.mark.gpu
OPTIONS: dict[str, Any] = {"num_blocks": 2048, "max_num_seqs": 64, "max_num_batched_tokens": 512}
TIE = 1e-3  # of transformers' own margin: below it either token is right
TOKENS = 48
WANTED = StructuredOutputs(regex='[{]"name": "[a-z]{2,8}", "mood": "(calm|tired)"[}]')


def prompts(num: int, longest: int = 120) -> list[list[int]]:
    draw = random.Random(7)
    return [[draw.randrange(256) for _ in range(draw.randint(1, longest))] for _ in range(num)]


@contextlib.contextmanager
def engine(checkpoint: Path, **options: Any) -> Iterator[LLM]:
    """One that has been checked to run on the GPU."""
    with LLM(str(checkpoint), **{**OPTIONS, **options}) as llm:
        assert llm.info.summary["platform"] == PLATFORM
        yield llm


def generated(llm: LLM, given: list[list[int]], **params: Any) -> list[list[int]]:
    wanted = SamplingParams(
        **{"temperature": 0, "max_tokens": TOKENS, "ignore_eos": True, **params}
    )
    return [list(output.outputs[0].token_ids) for output in llm.generate(given, wanted)]


@torch.inference_mode()
def first_wrong(model: Any, prompt: list[int], tokens: list[int]) -> tuple[int, float] | None:
    """Where transformers, fed the same tokens, prefers another by more than a tie; its margin."""
    ids = torch.tensor([prompt + tokens], device="cuda")
    logits = model(ids).logits[0, len(prompt) - 1 : -1].float()
    margins = logits.max(-1).values - logits.gather(1, ids[0, len(prompt) :, None])[:, 0]
    wrong = (margins > TIE).nonzero()[:, 0].tolist()
    return (wrong[0], float(margins[wrong[0]])) if wrong else None


def test_greedy_tokens_are_those_of_transformers(checkpoint: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).cuda()
    given = prompts(40)
    for options in ({}, {"enforce_eager": True}, {"max_num_seqs": 3}):
        with engine(checkpoint, dtype="float32", **options) as llm:
            assert bool(llm.info.summary["num_graphs"]) != bool(options.get("enforce_eager"))
            found = generated(llm, given)
        for prompt, tokens in zip(given, found, strict=True):
            assert first_wrong(model, prompt, tokens) is None, options


def test_in_bf16_logprobs_stay_within_rounding(checkpoint: Path) -> None:
    """Of each prompt's tokens, against float32."""
    given = prompts(16)
    values = {}
    for dtype in ("float32", "bfloat16"):
        with engine(checkpoint, dtype=dtype) as llm:
            params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
            outputs = llm.generate(given, params)
        values[dtype] = torch.tensor(
            [
                next(iter(each.values())).logprob
                for output in outputs
                for each in output.prompt_logprobs[1:]
            ]
        )
    off = (values["float32"] - values["bfloat16"]).abs()
    assert off.mean() < 0.1, off.mean()
    assert off.max() < 2.0, off.max()


@pytest.mark.parametrize("params", [{}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 3}])
def test_run_ahead_graphs_and_caching_change_no_token(
    checkpoint: Path, params: dict[str, Any]
) -> None:
    given = prompts(50)
    with engine(checkpoint, dtype="float32", async_scheduling=False, enforce_eager=True) as llm:
        expected = generated(llm, given, **params)
    for options in ({}, {"async_scheduling": False}, {"enforce_eager": True}, {"max_num_seqs": 7}):
        with engine(checkpoint, dtype="float32", **options) as llm:
            assert generated(llm, given, **params) == expected, options
            assert generated(llm, given, **params) == expected, f"{options}, cached"


def test_text_that_is_forced_is_what_would_be_sampled(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row stands in a step once for each of its tokens; some of those steps are recorded."""
    given, steps = prompts(50), []
    params = {"structured_outputs": WANTED, "temperature": 1.0, "seed": 3, "ignore_eos": False}
    with engine(checkpoint, dtype="float32") as llm:
        found = generated(llm, given, **params)
        steps.append(llm.stats().num_steps)
        monkeypatch.setattr(LlguidanceMatcher, "forced", lambda _: [])
        assert generated(llm, given, **params) == found
        steps.append(llm.stats().num_steps - steps[0])
    assert steps[0] < steps[1]


def test_no_launch_waits_for_the_device(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch raises in a forward or sample that would; greedy, sampled, penalised, with logprobs."""
    for name in ("forward", "sample"):
        monkeypatch.setattr(ModelRunner, name, _forbidding(getattr(ModelRunner, name)))
    kinds: list[dict[str, Any]] = [
        {},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "min_p": 0.01},
        {"temperature": 1.0, "top_p": 0.9},
        {"repetition_penalty": 1.2, "presence_penalty": 0.1, "frequency_penalty": 0.1},
        {"logprobs": 5},
        {"logit_bias": {3: 2.0}, "min_tokens": 4, "stop_token_ids": [7]},
        {"structured_outputs": WANTED, "ignore_eos": False},
    ]
    with engine(checkpoint) as llm:
        for params in kinds:
            assert len(generated(llm, prompts(9), **params)) == 9


def _forbidding(launch: Any) -> Any:
    def checked(self: ModelRunner, what: Any) -> None:
        with no_waiting():
            launch(self, what)

    return checked
