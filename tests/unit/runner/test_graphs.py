"""Recorded steps: what is padded, which size is taken, and that replaying changes no token."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from fake_model import Driver, HashModel, Rerun, make_runner
from test_model_runner import GREEDY, continuation
from torch.utils._python_dispatch import TorchDispatchMode

from inferd.memory import staging
from inferd.runner import results
from inferd.runner.graphs import sizes, uniform_rows
from inferd.runner.inputs import Size, step_array
from inferd.types import StepPlan

TABLE: Any = SimpleNamespace(padding_row=99, history_len=100)


def plan_of(*counts: int) -> StepPlan:
    rows = list(range(len(counts)))
    starts = [10 * (row + 1) for row in rows]
    return StepPlan(0, rows, rows, list(counts), starts, [True] * len(counts))


def test_a_uniform_step_pads_with_rows_of_one_token() -> None:
    found = step_array(plan_of(1, 1, 1), Size(4, 4), TABLE).tolist()
    rows, starts, query_starts, ends, places = found
    assert rows[:-1] == [0, 1, 2, 99]
    assert starts[:-1] == [10, 20, 30, 0]
    assert query_starts == [0, 1, 2, 3, 4]
    assert ends[:-1] == [11, 21, 31, 1]
    assert places[:-1] == [11, 121, 231, 9900]


def test_a_mixed_step_gives_its_padding_to_one_row() -> None:
    rows, starts, query_starts, ends, places = step_array(
        plan_of(1, 5), Size(16, 4), TABLE
    ).tolist()
    assert rows[:-1] == [0, 1, 99, 99]
    assert starts[:-1] == [10, 20, 0, 0]
    assert query_starts == [0, 1, 6, 16, 16]
    assert ends[:-1] == [11, 25, 10, 0]
    assert places[:-1] == [11, 125, 9900, 9900]


def test_sizes_fall_and_are_bounded() -> None:
    found = list(sizes(40, 300, 1000))
    assert found[0] == Size(256, 16)
    assert all(size.tokens <= 300 and size.rows <= 40 for size in found)
    assert next(size.rows for size in found if size.rows == size.tokens) == 40
    assert max(size.tokens for size in sizes(40, 300, 100) if size.rows < size.tokens) == 64
    assert uniform_rows(1024)[-3:] == [896, 960, 1024]
    assert uniform_rows(3) == [1, 2, 3]


@pytest.mark.parametrize("record", [True, False])
def test_replayed_steps_sample_the_same_tokens(
    monkeypatch: pytest.MonkeyPatch, record: bool
) -> None:
    """Three rows that start at different steps, so that uniform and mixed steps are padded."""
    monkeypatch.setattr("inferd.runner.graphs.MIXED_TOKENS", (8, 16, 32))
    monkeypatch.setattr("inferd.runner.graphs.MIXED_ROWS", (4,))
    recorded: list[Rerun] = []

    def keep(run: Any) -> Rerun:
        recorded.append(Rerun(run))
        return recorded[-1]

    driver = Driver(make_runner(monkeypatch, HashModel(), record=keep if record else None))
    prompts = {0: [3, 1, 4, 1, 5], 1: [2, 7, 1], 2: [9, 9, 8, 2, 6, 1, 1]}
    found: dict[int, list[int]] = {row: [] for row in prompts}

    def step(work: dict[int, tuple[int, bool]]) -> None:
        result = driver.step(work)
        for row, token in zip(result.rows, result.token_ids, strict=True):
            found[row].append(token)

    driver.enter(0, prompts[0], GREEDY)
    step({0: (5, True)})
    driver.enter(1, prompts[1], GREEDY)
    step({0: (1, True), 1: (3, True)})
    driver.enter(2, prompts[2], GREEDY)
    step({0: (1, True), 1: (1, True), 2: (4, False)})  # a chunk that samples nothing
    step({0: (1, True), 1: (1, True), 2: (3, True)})
    for _ in range(9):
        step({0: (1, True), 1: (1, True), 2: (1, True)})
    assert found == {row: continuation(prompts[row], len(found[row])) for row in prompts}
    assert sum(each.replays for each in recorded) == (13 if record else 0)


class Still(Rerun):
    """Replaying runs nothing but the first time."""

    def replay(self) -> Any:
        self.outputs = self.outputs or super().replay()
        return self.outputs


class Launches(TorchDispatchMode):
    """By name, what a device would be given: all ops but views."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.ops[func.overloadpacket.__name__] += 1
        return outputs


@pytest.mark.parametrize("new_blocks", [False, True])
def test_what_a_decode_step_launches(monkeypatch: pytest.MonkeyPatch, new_blocks: bool) -> None:
    """One copy to the device and one back; where blocks are new, one more copy and its scatter."""
    driver = Driver(make_runner(monkeypatch, HashModel(), record=Still))
    rows = dict.fromkeys(range(3), (1, True))
    for row in rows:
        driver.enter(row, [row, 1, 4], GREEDY)
    driver.step(dict.fromkeys(rows, (3, True)))
    driver.step(rows)  # fills the first block
    for _ in range(0 if new_blocks else 1):
        driver.step(rows)
    to_device, to_host = [], []
    pinned, readback = staging.pinned, results.Readback
    monkeypatch.setattr(staging, "pinned", lambda *a: to_device.append(a) or pinned(*a))
    monkeypatch.setattr(results, "Readback", lambda each: to_host.extend(each) or readback(each))
    with Launches() as launches:
        driver.submit(rows)
    assert launches.ops == Counter(copy_=1) + Counter(index_copy_=int(new_blocks))
    assert len(to_device) == 1 + new_blocks
    assert len(to_host) == 1
