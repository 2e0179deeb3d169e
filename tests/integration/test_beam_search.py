"""Beam search against transformers', and against the algorithm written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hf
import pytest
import torch
from prompts import random_prompts

from inferd.engine.beam_search import BeamSearchParams
from inferd.errors import ContextTooLong, RequestError

LLAMA = "LlamaForCausalLM"
PROMPTS = random_prompts(5, 33, 48, seed=3)


@torch.inference_mode()
def transformers_beams(
    path: Path, ids: list[int], width: int, num_tokens: int, eos: int | None, **options: Any
) -> list[tuple[list[int], float]]:
    prompt = torch.tensor([ids])
    out = hf.load(path).generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=num_tokens,
        eos_token_id=eos,
        pad_token_id=258,
        early_stopping="never",
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    beams = [row[row != 258].tolist() for row in out.sequences]
    return list(zip(beams, out.sequences_scores.tolist(), strict=True))


def exhaustive(
    path: Path, ids: list[int], params: BeamSearchParams, eos: int
) -> list[tuple[list[int], float]]:
    """vLLM's: every beam grows by its 2 * width best tokens, to the end; scores by length."""
    live, done = [(ids, 0.0)], []
    for _ in range(params.max_tokens):
        grown = []
        for tokens, total in live:
            top = hf.logprobs(path, tokens)[-1].topk(2 * params.beam_width)
            pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            grown += [([*tokens, token], total + value) for token, value in pairs]
        done += [beam for beam in grown if beam[0][-1] == eos]
        live = sorted((b for b in grown if b[0][-1] != eos), key=lambda b: -b[1])
        live = live[: params.beam_width]
    scored = [(t, p / (len(t) - len(ids)) ** params.length_penalty) for t, p in done + live]
    return sorted(scored, key=lambda beam: -beam[1])[: params.beam_width]


def run(
    llm: Any, ids: list[int], params: BeamSearchParams, eos: int | None = None
) -> list[tuple[list[int], float]]:
    llm.eos_ids = [] if eos is None else [eos]
    (output,) = llm.beam_search([ids], params)
    return [
        (b.tokens, b.cum_logprob / (len(b.tokens) - len(ids)) ** params.length_penalty)
        for b in output.sequences
    ]


def check(found: list[tuple[list[int], float]], expected: list[tuple[list[int], float]]) -> None:
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
    for (_, mine), (_, theirs) in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
@pytest.mark.parametrize("width", [2, 5])
def test_beams_are_transformers(checkpoints: Any, make_llm: Any, width: int, prompt: Any) -> None:
    params = BeamSearchParams(beam_width=width, max_tokens=12)
    expected = transformers_beams(checkpoints[LLAMA], prompt, width, 12, None)
    check(run(make_llm(), prompt, params), expected)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0, -0.5])
@pytest.mark.parametrize("prompt", PROMPTS[:2], ids=len)
def test_finished_beams(checkpoints: Any, make_llm: Any, penalty: float, prompt: Any) -> None:
    """With an end-of-sequence token that the beams meet."""
    path, llm = checkpoints[LLAMA], make_llm()
    params = BeamSearchParams(beam_width=3, max_tokens=8, length_penalty=penalty)
    unbounded = exhaustive(path, prompt, params, eos=-1)
    eos = unbounded[1][0][len(prompt) + 3]
    expected = exhaustive(path, prompt, params, eos)
    assert expected != unbounded
    check(run(llm, prompt, params, eos), expected)
    ignoring = BeamSearchParams(beam_width=3, max_tokens=8, length_penalty=penalty, ignore_eos=True)
    check(run(llm, prompt, ignoring, eos), unbounded)


def test_a_finished_beam_is_transformers(checkpoints: Any, make_llm: Any) -> None:
    """Where the two agree on the candidates: an end among the best of its step."""
    path, prompt = checkpoints[LLAMA], PROMPTS[0]
    eos = hf.greedy(path, prompt, 4)[-1]
    params = BeamSearchParams(beam_width=2, max_tokens=8)
    best, _ = transformers_beams(path, prompt, 2, 8, eos)[0]
    assert best == run(make_llm(), prompt, params, eos)[0][0]


def test_one_beam_is_greedy(checkpoints: Any, make_llm: Any) -> None:
    params = BeamSearchParams(beam_width=1, max_tokens=12)
    ((tokens, _),) = run(make_llm(), PROMPTS[1], params)
    assert tokens[len(PROMPTS[1]) :] == hf.greedy(checkpoints[LLAMA], PROMPTS[1], 12)


def test_beams_share_their_blocks(make_llm: Any) -> None:
    """A step computes little more than the tokens behind the last full block of each beam."""
    llm = make_llm()
    prompt, width, steps = PROMPTS[2], 4, 20
    run(llm, prompt, BeamSearchParams(beam_width=width, max_tokens=steps))
    stats = llm._engine.stats()
    assert stats.num_tokens <= len(prompt) + width * (steps - 1) * 16
    assert stats.prefix_hits >= (steps - 1) * len(prompt)
    assert stats.num_blocks_used == 0


def test_several_prompts_texts_and_no_tokenizer(make_llm: Any) -> None:
    params = BeamSearchParams(beam_width=2, max_tokens=5)
    llm = make_llm()
    outputs = llm.beam_search(["ab", {"prompt_token_ids": PROMPTS[0]}], params)
    alone = llm.beam_search([PROMPTS[0]], params)
    assert outputs[1] == alone[0]
    first = outputs[0].sequences[0]
    assert first.text == llm.get_tokenizer().decode(first.tokens)
    assert first.text.startswith("ab")
    bare = make_llm(skip_tokenizer_init=True).beam_search([PROMPTS[0]], params)
    assert bare[0].sequences[0].tokens == alone[0].sequences[0].tokens
    assert bare[0].sequences[0].text is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("beam_width", 0), ("beam_width", 11), ("beam_width", 1.5), ("max_tokens", 0)],
)
def test_bad_values(name: str, value: Any) -> None:
    with pytest.raises(RequestError) as caught:
        BeamSearchParams(**{"beam_width": 2, "max_tokens": 5, name: value})
    assert caught.value.param == name


def test_beams_that_do_not_fit_are_refused_at_once(make_llm: Any) -> None:
    with pytest.raises(ContextTooLong, match="beams of up to"):
        make_llm(max_model_len=64).beam_search(
            [PROMPTS[2]], BeamSearchParams(beam_width=2, max_tokens=17)
        )
