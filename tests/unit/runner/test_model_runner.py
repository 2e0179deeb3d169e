"""The runner over a model that hashes what it reads: wrong inputs, tables or tokens show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from fake_model import BLOCK, VOCAB, Driver, HashModel, make_runner, next_token
from torch import Tensor

from inferd.contracts.logits_processor import LogitsProcessor
from inferd.params import SamplingParams
from inferd.plugin.registry import Registry

GREEDY = SamplingParams(temperature=0.0)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(make_runner(monkeypatch, HashModel()))


def continuation(tokens: list[int], num: int) -> list[int]:
    tokens = list(tokens)
    for _ in range(num):
        tokens.append(next_token(tokens))
    return tokens[-num:]


def test_prefill_and_decode(driver: Driver) -> None:
    prompt = [3, 1, 4, 1, 5, 9]
    driver.enter(0, prompt, GREEDY)
    found = driver.step({0: (6, True)}).token_ids
    for _ in range(12):  # over block boundaries
        found += driver.step({0: (1, True)}).token_ids
    assert found == continuation(prompt, 13)


def test_running_ahead_needs_no_collect(driver: Driver) -> None:
    """Every step is submitted before any result is looked at."""
    prompt = [2, 7, 1]
    driver.enter(4, prompt, GREEDY)
    driver.submit({4: (3, True)})
    for _ in range(6):
        driver.submit({4: (1, True)})
    found = [driver.runner.collect().token_ids[0] for _ in range(7)]
    assert found == continuation(prompt, 7)


def test_mixed_batches_and_chunks(driver: Driver) -> None:
    """Decodes beside chunks of prompts; a row samples only when its prompt is done."""
    prompts = {1: [5, 6, 7], 5: list(range(10, 21)), 2: list(range(40, 47))}
    driver.enter(1, prompts[1], GREEDY)
    out: dict[int, list[int]] = {row: [] for row in prompts}

    def step(work: dict[int, tuple[int, bool]]) -> None:
        result = driver.step(work)
        assert result.rows == [row for row, (_, samples) in work.items() if samples]
        assert result.epochs == [driver.epochs[row] for row in result.rows]
        for row, token in zip(result.rows, result.token_ids, strict=True):
            out[row].append(token)

    step({1: (3, True)})
    driver.enter(5, prompts[5], GREEDY)
    step({1: (1, True), 5: (4, False)})
    driver.enter(2, prompts[2], GREEDY)
    step({1: (1, True), 5: (6, False), 2: (7, True)})
    step({1: (1, True), 2: (1, True), 5: (1, True)})
    step({5: (1, True), 1: (1, True), 2: (1, True)})
    for row, prompt in prompts.items():
        assert out[row] == continuation(prompt, len(out[row]))


def test_a_row_may_have_several_tokens_as_rows_of_one(driver: Driver) -> None:
    """What follows the token in flight is known to the host, which did not wait for that one."""
    prompt, after = [3, 1, 4, 1, 5, 9], [20, 30, 40]
    driver.enter(0, prompt, GREEDY)
    driver.submit({0: (6, True)})
    plan = driver.fed(0, after)
    driver.runner.forward(plan)
    driver.runner.sample(plan.step_id)
    (first,) = driver.runner.collect().token_ids
    assert [first] == continuation(prompt, 1)
    result = driver.runner.collect()
    assert (result.rows, result.token_ids) == ([0], continuation([*prompt, first, *after], 1))
    assert driver.step({0: (1, True)}).token_ids == [continuation([*prompt, first, *after], 2)[1]]


@pytest.mark.parametrize(
    ("raised", "known"),
    [
        (torch.OutOfMemoryError("tried to allocate 2.00 GiB\nmore"), True),
        (MemoryError("no room"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), True),
        (RuntimeError("illegal memory access"), False),
    ],
    ids=str,
)
def test_what_is_a_lack_of_memory(driver: Driver, raised: Exception, known: bool) -> None:
    def fail() -> None:
        raise raised

    if known:
        found = driver.runner.within_memory(fail)
        assert str(found) == str(raised).splitlines()[0]
    else:
        with pytest.raises(RuntimeError):
            driver.runner.within_memory(fail)
    assert driver.runner.within_memory(lambda: None) is None


def test_a_step_without_samples_has_an_empty_result(driver: Driver) -> None:
    driver.enter(0, list(range(8)), GREEDY)
    result = driver.step({0: (4, False)})
    assert (result.rows, result.epochs, result.token_ids) == ([], [], [])


def test_known_output_is_recomputed_on_resume(driver: Driver) -> None:
    prompt, known = [8, 8, 1], [5, 60, 2]
    driver.enter(3, prompt, GREEDY, output_ids=known)
    found = driver.step({3: (6, True)}).token_ids + driver.step({3: (1, True)}).token_ids
    assert found == continuation(prompt + known, 2)


def test_a_cached_prefix_is_read_not_computed(driver: Driver) -> None:
    prompt = [9, 8, 7, 6, 5, 4]
    first = driver.enter(0, prompt, GREEDY)
    driver.step({0: (6, True)})
    table = [[first.block_ids[0][0], *driver.blocks(1)]]
    driver.enter(1, [*prompt[:4], 77, 78], GREEDY, block_ids=table)
    driver.computed[1] = BLOCK
    assert driver.step({1: (2, True)}).token_ids == continuation([*prompt[:4], 77, 78], 1)


def test_a_copied_block_is_written_apart(driver: Driver) -> None:
    """Copy on write: the fork goes on in its own last block, the original in its."""
    prompt = [1, 2, 3, 4, 5]
    first = driver.enter(0, prompt, GREEDY)
    driver.step({0: (5, True)})
    full, partial = first.block_ids[0]
    (copy,) = driver.blocks(1)
    driver.enter(1, prompt, GREEDY, output_ids=[42], block_ids=[[full, copy]])
    driver.copies, driver.computed[1] = [(partial, copy)], 5
    result = driver.step({0: (1, True), 1: (1, True)})
    assert result.token_ids == [continuation(prompt, 2)[1], next_token([*prompt, 42])]


def test_groups_have_tables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(make_runner(monkeypatch, HashModel(groups=3)), groups=3)
    assert driver.runner.info.groups == (("full", None), ("window", 8), ("window", 16))
    prompt = [3, 3, 9, 1, 2]
    driver.enter(6, prompt, GREEDY)
    found = driver.step({6: (5, True)}).token_ids
    for _ in range(5):
        found += driver.step({6: (1, True)}).token_ids
    assert found == continuation(prompt, 6)


def test_a_row_is_given_to_another(driver: Driver) -> None:
    """A short tenant after a long one sees none of its blocks or tokens."""
    driver.enter(0, list(range(15)), GREEDY)
    driver.submit({0: (15, True)})
    driver.submit({0: (1, True)})
    driver.enter(0, [50, 51], GREEDY)
    driver.submit({0: (2, True)})
    driver.submit({0: (1, True)})
    results = [driver.runner.collect() for _ in range(4)]
    assert [r.token_ids[0] for r in results[2:]] == continuation([50, 51], 2)


def test_what_the_batch_says_of_itself(driver: Driver) -> None:
    driver.enter(2, [1, 2, 3], GREEDY)
    driver.step({2: (3, True)})
    driver.enter(7, list(range(9)), GREEDY)
    driver.step({2: (1, True), 7: (6, False)})
    batch = driver.runner._forward._model.batches[-1]  # type: ignore[attr-defined]
    assert (batch.num_tokens, batch.num_rows, batch.num_decodes) == (7, 2, 1)
    assert (batch.query_lens, batch.context_lens, batch.num_blocks) == ([1, 6], [4, 6], 40)
    assert batch.positions_T.tolist() == [3, 0, 1, 2, 3, 4, 5]
    assert batch.query_starts_R1.tolist() == [0, 1, 7]
    assert batch.query_starts_R1.dtype == batch.contexts_R.dtype == torch.int32
    assert batch.logits_N.tolist() == [0]
    assert batch.rows_R.tolist() == [2, 7]
    assert batch.block_tables_RB[0].shape == (2, 2)


@pytest.mark.parametrize("skip", [1, -1])
def test_a_plan_that_is_not_the_next_fails_loudly(driver: Driver, skip: int) -> None:
    driver.enter(0, [1, 2], GREEDY)
    driver.step({0: (2, True)})
    driver.step_id += skip
    with pytest.raises(RuntimeError, match="rebuild it from a snapshot"):
        driver.submit({0: (1, True)})


def test_sampling_another_step_than_the_forward_fails(driver: Driver) -> None:
    driver.enter(0, [1, 2], GREEDY)
    driver.runner.forward(driver.plan({0: (2, True)}))
    with pytest.raises(RuntimeError, match="step 9"):
        driver.runner.sample(9)


def test_prompt_logprobs_of_a_chunked_prompt(driver: Driver) -> None:
    """Positions in order over the steps; nothing for the sampled token."""
    prompt = [3, 1, 4, 1, 5, 9, 2]
    params = SamplingParams(temperature=0.0, prompt_logprobs=2, logprobs=1)
    driver.enter(0, prompt, params, wants_prompt_logprobs=True)
    parts = [driver.step({0: work}) for work in ((3, False), (1, False), (3, True), (1, True))]
    counts = [len(part.prompt_logprobs.get(0, [])) for part in parts]
    assert counts == [3, 1, 2, 0]
    found = [entry for part in parts for entry in part.prompt_logprobs.get(0, [])]
    model = HashModel()
    for i, entry in enumerate(found):
        hidden = torch.tensor([[float(next_token(prompt[: i + 1]))]])
        expected = model.compute_logits(hidden)[0].double().log_softmax(-1)
        top = expected.topk(2).indices.tolist()
        assert entry.token_ids == [prompt[i + 1], *top]
        assert entry.values == pytest.approx(expected[entry.token_ids].tolist(), abs=1e-5)
        assert entry.rank == int((expected > expected[prompt[i + 1]]).sum()) + 1
    assert [len(part.logprobs) for part in parts] == [0, 0, 1, 1]


def test_prompt_logprobs_go_through_the_head_in_pieces(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferd.runner.prompt_logprobs.PIECE", 5)
    params = SamplingParams(temperature=0.0, prompt_logprobs=0)
    driver.enter(0, list(range(23)), params, wants_prompt_logprobs=True)
    result = driver.step({0: (23, True)})
    assert [entry.token_ids for entry in result.prompt_logprobs[0]] == [[i] for i in range(1, 23)]
    assert driver.runner._forward._model.most_logits == 5  # type: ignore[attr-defined]


class Picky(LogitsProcessor):
    """Bans the likeliest token; raises for some requests, at admission or when applied."""

    name = "picky"

    @classmethod
    def columns(cls) -> Mapping[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {"bad": (torch.bool, ())}

    def admit(self, params: SamplingParams) -> Mapping[str, Any] | None:
        if params.max_tokens == 666:
            raise ValueError("no such number")
        return {"bad": params.max_tokens == 667} if params.max_tokens != 16 else None

    def apply(self, logits_NV: Tensor, rows_N: Tensor, columns: Mapping[str, Tensor]) -> None:
        logits_NV[torch.arange(len(rows_N)), logits_NV.argmax(-1)] = -torch.inf
        if columns["bad"][rows_N].any():
            raise ValueError("cannot do this")


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> Driver:
    registry: Registry[Any] = Registry("logits processor")
    registry.add("picky", f"{__name__}:Picky")
    monkeypatch.setattr(registry, "load", lambda name: Picky)
    return Driver(make_runner(monkeypatch, HashModel(), registry))


def enter_offender(driver: Driver, max_tokens: int) -> None:
    for row, most in enumerate((16, max_tokens, 9)):
        params = SamplingParams(temperature=0.0, max_tokens=most, repetition_penalty=1.5)
        driver.enter(row, [row, 2, 3], params)


@pytest.mark.parametrize(
    ("max_tokens", "message"), [(666, "no such number"), (667, "cannot do this")]
)
def test_one_rows_exception_fails_that_row_only(
    picky: Driver, max_tokens: int, message: str
) -> None:
    """The others get what they get without it, though logits had been changed when it raised."""
    enter_offender(picky, max_tokens)
    failed = picky.step({0: (3, True), 1: (3, True), 2: (3, True)})
    assert list(failed.errors) == [1]
    assert message in failed.errors[1]
    again = picky.step({0: (1, True), 1: (1, True), 2: (1, True)})
    assert list(again.errors) == [1]  # until the row is given away


def test_the_others_are_sampled_as_if_the_offender_were_not_there(
    picky: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_offender(picky, 667)
    found = picky.step({0: (3, True), 1: (3, True), 2: (3, True)}).token_ids
    other = Driver(picky.runner)
    other.step_id = picky.step_id
    enter_offender(other, 16)
    clean = other.step({0: (3, True), 1: (3, True), 2: (3, True)})
    assert clean.errors == {}
    assert (found[0], found[2]) == (clean.token_ids[0], clean.token_ids[2])


def test_an_offender_in_the_middle_of_its_prompt_fails_when_it_would_sample(picky: Driver) -> None:
    picky.enter(0, [1, 2, 3, 4], SamplingParams(temperature=0.0, max_tokens=666))
    picky.step({0: (2, False)})
    assert list(picky.step({0: (2, True)}).errors) == [0]


def test_logits_that_are_not_finite_fail_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HashModel()
    model.poison = next_token([5, 5])
    driver = Driver(make_runner(monkeypatch, model))
    driver.enter(0, [5, 5], GREEDY)
    driver.enter(1, [5, 6], GREEDY)
    result = driver.step({0: (2, True), 1: (2, True)})
    assert list(result.errors) == [0]
    assert "not finite" in result.errors[0]
    assert result.token_ids[1] == next_token([5, 6])
    assert 0 <= result.token_ids[0] < VOCAB
