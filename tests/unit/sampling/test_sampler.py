"""The sampler over request table columns: batches, order of the stages, and what is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from inferd.contracts.logits_processor import LogitsProcessor
from inferd.params import SamplingParams
from inferd.sampling.columns import SampleStep, SamplingColumns
from inferd.sampling.sampler import Sampled, Sampler
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.drive import reference_ops
from inferd.types import RowStart, StepMasks

CPU = torch.device("cpu")
OPS = reference_ops(torch.float32)
VOCAB = 256
HISTORY = 64


class Boost(LogitsProcessor):
    """Adds 100 to the token in its column."""

    name = "boost"

    @classmethod
    def columns(cls) -> Mapping[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {"token": (torch.int64, ())}

    def admit(self, params: SamplingParams) -> Mapping[str, Any] | None:
        return {"token": params.max_tokens} if params.max_tokens != 16 else None

    def apply(self, logits_NV: Tensor, rows_N: Tensor, columns: Mapping[str, Tensor]) -> None:
        logits_NV[torch.arange(len(rows_N)), columns["token"][rows_N]] += 100.0


class Table:
    """Columns, history and sampler, as the runner has them."""

    def __init__(self, rows: int = 8, processors: tuple[type[LogitsProcessor], ...] = ()) -> None:
        self.columns = SamplingColumns(rows, CPU)
        self.history = torch.zeros(rows, HISTORY, dtype=torch.int32)
        self.sampler = Sampler(self.columns, self.history, OPS, [kind() for kind in processors])
        self.ends: dict[int, int] = {}

    def enter(
        self,
        row: int,
        params: SamplingParams,
        prompt: list[int] | None = None,
        output: list[int] | None = None,
        seed: int = 0,
        index: int = 0,
        eos: list[int] | None = None,
        bad: list[list[int]] | None = None,
    ) -> None:
        prompt, output = prompt or [1, 2, 3], output or []
        tokens = torch.tensor(prompt + output, dtype=torch.int32)
        self.history[row, : len(tokens)] = tokens
        self.ends[row] = len(tokens)
        start = RowStart(
            row, 1, "r", index, prompt, output, params, seed, eos or [], bad or [], [[]]
        )
        self.columns.write([start])
        self.sampler.admit(start)

    def sample(self, logits: Tensor, rows: list[int]) -> Sampled:
        ends = np.array([self.ends[row] for row in rows])
        return self.sampler.sample(logits.clone(), SampleStep.of(np.array(rows), ends, CPU))

    def ids(self, logits: Tensor, rows: list[int]) -> list[int]:
        return self.sample(logits, rows).ids_N.tolist()


def logits(rows: int, seed: int = 0, spread: float = 2.0) -> Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed)) * spread


def greedy(**options: Any) -> SamplingParams:
    return SamplingParams(temperature=0.0, **options)


def test_greedy_rows_take_the_largest_logit() -> None:
    table, x = Table(), logits(3)
    for row in range(3):
        table.enter(row, greedy())
    assert table.ids(x, [0, 1, 2]) == x.argmax(-1).tolist()


MIXED: list[dict[str, Any]] = [
    {"params": greedy()},
    {"params": SamplingParams(temperature=0.7), "seed": 5},
    {"params": SamplingParams(temperature=1.2, top_k=20, top_p=0.9), "seed": 6},
    {"params": SamplingParams(min_p=0.1), "seed": 7, "index": 3},
    {"params": greedy(repetition_penalty=1.5, presence_penalty=1.0), "output": [9, 9, 4]},
    {"params": greedy(allowed_token_ids=[3, 8, 200], logit_bias={8: 5.0})},
    {"params": SamplingParams(min_tokens=5, temperature=0.9), "seed": 8, "eos": [2]},
    {"params": greedy(logprobs=3), "bad": [[17], [1, 4]]},
]


def test_a_token_depends_on_its_row_alone_not_on_the_batch() -> None:
    """Alone, in the whole batch, in another order and at other rows of the table."""
    x = logits(len(MIXED), spread=1.0)
    table, moved = Table(), Table()
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    for row, options in enumerate(MIXED):
        table.enter(row, **options)
        moved.enter(order[row], **options)
    together = table.ids(x, list(range(8)))
    alone = [table.ids(x[row : row + 1], [row])[0] for row in range(8)]
    assert together == alone
    assert moved.ids(x, order) == together
    assert moved.ids(x.flip(0), order[::-1]) == together[::-1]


def test_equal_seeds_draw_equal_tokens_and_indices_differ() -> None:
    table, flat = Table(), torch.zeros(3, VOCAB)
    table.enter(0, SamplingParams(), seed=3)
    table.enter(1, SamplingParams(), seed=3)
    table.enter(2, SamplingParams(), seed=3, index=1)
    a, b, c = table.ids(flat, [0, 1, 2])
    assert a == b != c
    table.ends[0] += 1
    assert table.ids(flat[:1], [0]) != [a]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"top_k": 8}, {"top_p": 0.7}])
def test_frequencies_are_the_softmaxs(options: dict[str, Any]) -> None:
    """20,000 draws at consecutive positions; chi-square over the likely tokens."""
    table = Table(1)
    params = SamplingParams(**options)
    table.enter(0, params, seed=17)
    x = logits(1, seed=2)
    draws = 20_000
    rows = np.zeros(draws, dtype=np.int64)
    step = SampleStep.of(rows, np.arange(3, 3 + draws), CPU)
    ids = table.sampler.sample(x.expand(draws, VOCAB), step).ids_N
    probs = reference_probs(x[0].double(), params)
    counts = torch.bincount(ids, minlength=VOCAB).double()
    assert counts[probs == 0].sum() == 0
    likely = probs * draws >= 5
    expected = probs[likely] * draws
    chi2 = ((counts[likely] - expected) ** 2 / expected).sum().item()
    freedom = int(likely.sum()) - 1
    assert abs(chi2 - freedom) < 5 * math.sqrt(2 * freedom)


def reference_probs(x: Tensor, params: SamplingParams) -> Tensor:
    x = x / params.temperature
    if params.top_k:
        x = x.masked_fill(x < x.topk(params.top_k).values[-1], -torch.inf)
    probs = x.softmax(-1)
    values, order = probs.sort(descending=True)
    keep = values.cumsum(0) - values < params.top_p
    probs[order[~keep]] = 0.0
    return probs / probs.sum()


def test_min_tokens_holds_back_every_stop_token_until_then() -> None:
    table = Table(1)
    x = torch.zeros(1, VOCAB)
    x[0, 7], x[0, 9], x[0, 11] = 3.0, 2.0, 1.0
    params = greedy(min_tokens=2, max_tokens=9, stop_token_ids=[9])
    for output, expected in (([], 11), ([5], 11), ([5, 5], 7)):
        table.enter(0, params, output=output, eos=[7])
        assert table.ids(x, [0]) == [expected]


def test_min_tokens_ends_while_the_same_rows_go_on() -> None:
    """The joined lists are kept between steps, but not past the moment they change."""
    table, x = Table(1), torch.zeros(1, VOCAB)
    x[0, 7] = 3.0
    table.enter(0, greedy(min_tokens=1), eos=[7])
    assert table.ids(x, [0]) != [7]
    table.ends[0] += 1
    assert table.ids(x, [0]) == [7]


def test_allowed_tokens_and_bias() -> None:
    table, x = Table(2), logits(2)
    table.enter(0, greedy(allowed_token_ids=[4, 6, 8]))
    table.enter(1, greedy(logit_bias={33: 100.0, 34: -100.0}))
    ids = table.ids(x, [0, 1])
    assert ids == [[4, 6, 8][x[0, [4, 6, 8]].argmax()], 33]


def test_bad_words_ban_the_token_that_would_complete_them() -> None:
    x = torch.zeros(1, VOCAB)
    x[0, 50], x[0, 51] = 3.0, 1.0
    words = [[50, 1], [8, 9, 50], [10, 50]]
    for output, expected in (
        ([8, 9], 51),  # ends with 8 9
        ([9, 8, 9], 51),
        ([10], 51),
        ([9], 50),  # 8 is in the prompt: a bad word lies in the output alone
        ([8, 9, 7], 50),
        ([], 50),
    ):
        table = Table(1)
        table.enter(0, greedy(), prompt=[8], output=output, bad=words)
        assert table.ids(x, [0]) == [expected], output


def test_two_bad_words_with_one_last_token() -> None:
    """One matches and one does not: the ban holds."""
    table, x = Table(1), torch.zeros(1, VOCAB)
    x[0, 50] = 1.0
    table.enter(0, greedy(), output=[4], bad=[[4, 50], [5, 50], [4, 50]])
    assert table.ids(x, [0]) != [50]


def test_a_new_tenant_of_a_row_inherits_nothing() -> None:
    table, x = Table(1, (Boost,)), logits(1)
    table.enter(0, greedy(allowed_token_ids=[4], max_tokens=9, presence_penalty=2.0), bad=[[5]])
    table.sample(x, [0])
    table.enter(0, greedy())
    assert table.ids(x, [0]) == [int(x.argmax())]


def test_processors_see_only_the_rows_that_use_them() -> None:
    table, x = Table(3, (Boost,)), logits(3)
    table.enter(0, greedy())
    table.enter(1, greedy(max_tokens=77))
    table.enter(2, greedy(max_tokens=78))
    assert table.ids(x, [2, 0, 1]) == [78, int(x[1].argmax()), 77]
    assert table.ids(x[:2], [1, 2]) == [77, 78]


def test_penalties_touch_only_their_rows() -> None:
    table, x = Table(2), torch.zeros(2, VOCAB)
    x[:, 9] = 1.0
    table.enter(0, greedy(presence_penalty=2.0), output=[9])
    table.enter(1, greedy(), output=[9])
    ids = table.ids(x, [0, 1])
    assert ids[0] != 9
    assert ids[1] == 9


def test_logprobs_are_raw_and_in_the_rows_own_number() -> None:
    """Before bias and temperature; the chosen token comes first, with its rank."""
    table, x = Table(3), logits(3, seed=9)
    table.enter(0, greedy(logprobs=4, allowed_token_ids=[77]))
    table.enter(1, greedy())
    table.enter(2, SamplingParams(temperature=0.3, logprobs=0), seed=1)
    sampled = table.sample(x, [0, 1, 2])
    assert sampled.places == [0, 2]
    assert sampled.logprobs is not None
    expected = x.double().log_softmax(-1)
    found = sampled.logprobs
    assert found.ids_NC[0, 0] == 77
    assert found.ids_NC[0, 1:].tolist() == expected[0].topk(4).indices.tolist()
    torch.testing.assert_close(
        found.values_NC[0].double(), expected[0][found.ids_NC[0]], rtol=0, atol=1e-5
    )
    assert found.ranks_N[0] == int((x[0] > x[0, 77]).sum()) + 1
    chosen = int(sampled.ids_N[2])
    assert found.values_NC[1, 0].item() == pytest.approx(expected[2, chosen].item(), abs=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_noticed(value: float) -> None:
    table, x = Table(2), logits(2)
    x[1, 40] = value
    for params in (greedy(), SamplingParams(), SamplingParams(top_p=0.5)):
        table.enter(0, greedy())
        table.enter(1, params)
        sampled = table.sample(x, [0, 1])
        assert sampled.best_N.isfinite().tolist() == [True, False]
        assert 0 <= int(sampled.ids_N[1]) < VOCAB


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_grammars_mask_comes_before_all_else_but_raw_logprobs(temperature: float) -> None:
    wanted = StructuredOutputs(regex="a")
    params = SamplingParams(temperature=temperature, structured_outputs=wanted, logprobs=1)
    table, x = Table(), logits(2)
    table.enter(0, params)
    table.enter(1, greedy())
    words = np.zeros((1, VOCAB // 32), dtype=np.int32)
    words[0, 1] = 1 << 5
    table.columns.masks.put(StepMasks([0], words.data.cast("B")))
    sampled = table.sample(x, [0, 1])
    assert sampled.ids_N.tolist() == [37, int(x[1].argmax())]
    assert sampled.logprobs is not None
    assert int(sampled.logprobs.ids_NC[0, 1]) == int(x[0].argmax())
