"""Steps recorded as they run: which, when, and that replaying changes no token."""

from __future__ import annotations

from typing import Any

import pytest
from fake_model import Driver, HashModel, Rerun, make_runner
from test_model_runner import GREEDY, continuation

from inferd.contracts.platform import CannotRecord

PROMPTS = {0: [3, 1, 4, 1, 5], 1: [2, 7, 1]}


class Shared(Rerun):
    """Its outputs are overwritten by the next replay."""

    def replay(self) -> Any:
        for kept, new in zip(self.outputs, super().replay(), strict=True):
            kept.copy_(new)
        return self.outputs


class Tape:
    """A provider's `record`; `fails` of its recordings are of a step that cannot be recorded."""

    def __init__(self, fails: int = 0) -> None:
        self.made: list[Shared] = []
        self.asked = 0
        self._fails = fails

    def __call__(self, run: Any) -> Shared:
        self.asked += 1
        outputs = run()
        if self.asked <= self._fails:
            raise CannotRecord("it reads values")
        self.made.append(Shared(run))
        self.made[-1].outputs = outputs
        return self.made[-1]


def generated(driver: Driver, steps: int) -> dict[int, list[int]]:
    """Two rows decode beside each other, then the second alone."""
    found: dict[int, list[int]] = {row: [] for row in PROMPTS}

    def step(*rows: int, tokens: int = 1) -> None:
        result = driver.step(dict.fromkeys(rows, (tokens, True)))
        for row, token in zip(result.rows, result.token_ids, strict=True):
            found[row].append(token)

    for row, prompt in PROMPTS.items():
        driver.enter(row, prompt, GREEDY)
        step(row, tokens=len(prompt))
    for _ in range(steps):
        step(0, 1)
    for _ in range(steps):
        step(1)
    return found


def test_a_number_of_rows_is_recorded_when_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape()
    found = generated(Driver(make_runner(monkeypatch, HashModel(), tape=tape)), 5)
    assert found == {row: continuation(PROMPTS[row], len(found[row])) for row in PROMPTS}
    assert [each.replays for each in tape.made] == [3, 3]  # of two rows, of one


def test_what_cannot_be_recorded_is_launched_op_by_op(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(fails=1)
    found = generated(Driver(make_runner(monkeypatch, HashModel(), tape=tape)), 5)
    assert found == {row: continuation(PROMPTS[row], len(found[row])) for row in PROMPTS}
    assert tape.asked == 1


def test_rows_that_do_not_sample_are_given_no_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, model = Tape(), HashModel()
    driver = Driver(make_runner(monkeypatch, model, tape=tape))
    known = [*PROMPTS[0]]
    driver.enter(0, known, GREEDY)
    known += driver.step({0: (5, True)}).token_ids
    model.most_logits = 0
    for _ in range(4):
        plan = driver.fed(0, [20, 30, 40])
        driver.runner.forward(plan)
        driver.runner.sample(plan.step_id)
        known += [20, 30, 40]
        assert driver.runner.collect().token_ids == continuation(known, 1)
        known += continuation(known, 1)
    assert [each.replays for each in tape.made] == [2]
    assert model.most_logits == 1


def test_too_many_rows_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferd.runner.tapes.MOST_ROWS", 1)
    tape = Tape()
    generated(Driver(make_runner(monkeypatch, HashModel(), tape=tape)), 5)
    assert [each.replays for each in tape.made] == [3]


def test_what_was_sampled_outlives_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host reads a step's tokens when the next one may have been replayed."""
    runner = make_runner(monkeypatch, HashModel(), tape=Tape())
    driver = Driver(runner)
    found = generated(driver, 4)[1]
    for _ in range(2):
        plan = driver.plan({1: (1, True)})
        runner.forward(plan)
        runner.sample(plan.step_id)
    found += [*runner.collect().token_ids, *runner.collect().token_ids]
    assert found == continuation(PROMPTS[1], len(found))
