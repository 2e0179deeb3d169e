"""What was recorded gives, with other contents, what running it again would give."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from inferd.contracts.ops import OpRequest
from inferd.contracts.platform import CannotRecord
from inferd_cpu_numba.ops import NumbaOps

Step = Callable[[], tuple[Tensor, ...]]


@pytest.fixture(scope="module")
def provider() -> NumbaOps:
    made = NumbaOps()
    made.offered = made.ops(OpRequest("cpu", "any", torch.float32))  # type: ignore[attr-defined]
    return made


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def layers(provider: NumbaOps, x_TD: Tensor, weight_D: Tensor) -> Step:
    """Compiled calls on one thread and on all, views, torch's own operators, in turn."""
    norm, act = provider.offered["rms_norm"], provider.offered["act_and_mul"]["silu"]  # type: ignore[attr-defined]

    def step() -> tuple[Tensor, ...]:
        y_TD = norm(x_TD, weight_D, 1e-5)
        for _ in range(4):
            y_TD = norm(torch.cat((act(y_TD), act(y_TD * 2)), dim=1), weight_D, 1e-5)
        return y_TD, y_TD[:, 0].add(1).relu_(), y_TD.sum(1)

    return step


def test_a_replay_reads_what_is_there_now(provider, threads):
    x_TD, weight_D = torch.randn(40, 64), torch.randn(64)
    step = layers(provider, x_TD, weight_D)
    with torch.inference_mode():
        recorded = provider.record(step)
        for seed in range(30):
            x_TD.copy_(torch.randn(40, 64, generator=torch.Generator().manual_seed(seed)))
            for found, expected in zip(recorded.replay(), step(), strict=True):
                assert torch.equal(found, expected)


def test_recording_runs_what_it_records(provider):
    step = layers(provider, torch.randn(3, 64), torch.randn(64))
    with torch.inference_mode():
        for found, expected in zip(provider.record(step).outputs, step(), strict=True):
            assert torch.equal(found, expected)


def test_all_that_is_recorded_shares_one_memory(provider):
    x_TD, weight_D = torch.randn(40, 64), torch.randn(64)
    with torch.inference_mode():
        first = provider.record(layers(provider, x_TD, weight_D))
        chunks = len(provider._arena._chunks)
        second = provider.record(layers(provider, x_TD, weight_D))
        assert len(provider._arena._chunks) == chunks
        assert [a.data_ptr() for a in first.outputs] == [a.data_ptr() for a in second.outputs]


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: int(x[0, 0]),
        lambda x: bool(x[0, 0] > 0),
    ],
    ids=["tolist", "numpy", "item", "mask", "nonzero", "int", "bool"],
)
def test_what_depends_on_values_is_refused(provider, read):
    x_TD = torch.randn(3, 64)

    def step() -> tuple[Tensor, ...]:
        read(x_TD)
        return (x_TD,)

    with torch.inference_mode(), pytest.raises(CannotRecord):
        provider.record(step)
    read(x_TD)  # and nothing is refused afterwards


def test_indexing_by_integers_is_recorded(provider):
    x_TD, rows_N = torch.randn(9, 64), torch.tensor([1, 2])
    with torch.inference_mode():
        recorded = provider.record(lambda: (x_TD[rows_N],))
        rows_N.copy_(torch.tensor([7, 0]))
        assert torch.equal(recorded.replay()[0], x_TD[[7, 0]])


def test_calls_of_other_threads_are_not_recorded(provider):
    x_TD, weight_D = torch.randn(3, 64), torch.randn(64)
    norm = provider.offered["rms_norm"]

    def step() -> tuple[Tensor, ...]:
        other = threading.Thread(target=norm, args=(x_TD, weight_D, 1e-5))
        other.start()
        other.join()
        return (norm(x_TD, weight_D, 1e-5),)

    with torch.inference_mode():
        (part,) = provider.record(step)._parts
    assert part.calls == 1


def test_two_engines_record_one_after_the_other(provider):
    """Each in a thread of its own; the calls of both are kept."""
    other, parts, meet = NumbaOps(), [], threading.Barrier(2)
    other.ops(OpRequest("cpu", "any", torch.float32))
    norm, x_TD, weight_D = provider.offered["rms_norm"], torch.randn(3, 64), torch.randn(64)

    def step() -> tuple[Tensor, ...]:
        time.sleep(0.05)
        return (norm(norm(x_TD, weight_D, 1e-5), weight_D, 1e-5),)

    def run(recorder: NumbaOps) -> None:
        meet.wait()
        parts.extend(recorder.record(step)._parts)

    threads = [threading.Thread(target=run, args=(each,)) for each in (provider, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [part.calls for part in parts] == [2, 2]
