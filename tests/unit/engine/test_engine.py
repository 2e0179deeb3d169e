"""The step loop over a worker whose tokens are a hash of what came before."""

from __future__ import annotations

import gc
import time

import pytest
from fakes import HashExecutor, fake_host, next_token

from inferd.config.engine import EngineConfig
from inferd.engine.engine import Engine
from inferd.params import SamplingParams
from inferd.types import Request


def engine(run_ahead: bool, executor: type[HashExecutor] = HashExecutor, **options: int) -> Engine:
    config = EngineConfig.of("none", async_scheduling=run_ahead, **options)
    made = Engine(config, fake_host(executor))
    made.start()
    return made


def request(name: str, prompt: list[int], **params: object) -> Request:
    sampling = SamplingParams(ignore_eos=True, **params)  # type: ignore[arg-type]
    return Request(request_id=name, prompt_ids=prompt, params=sampling, seed=0)


def run(made: Engine) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = {}
    while made.has_work:
        for output in made.step():
            tokens.setdefault(f"{output.request_id}/{output.index}", []).extend(output.token_ids)
    return tokens


def expected(prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(next_token(tokens))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("run_ahead", [True, False])
def test_every_request_gets_the_tokens_it_would_get_alone(run_ahead: bool) -> None:
    made = engine(run_ahead, max_num_seqs=3, max_num_batched_tokens=40)
    prompts = {str(i): list(range(i, i + 7 * i + 1)) for i in range(8)}
    for name, prompt in prompts.items():
        made.add(request(name, prompt, max_tokens=20))
    assert run(made) == {f"{name}/0": expected(prompt, 20) for name, prompt in prompts.items()}


def test_a_step_is_submitted_before_the_one_before_is_collected() -> None:
    ahead, sync = engine(True), engine(False)
    for made in (ahead, sync):
        made.add(request("a", [1, 2, 3], max_tokens=5))
        run(made)
    assert ahead._executor.max_in_flight == 2
    assert sync._executor.max_in_flight == 1


def test_length_is_known_ahead_so_no_step_is_wasted() -> None:
    made = engine(True)
    made.add(request("a", [1, 2, 3], max_tokens=5))
    run(made)
    assert made._executor.submitted == sorted(set(made._executor.submitted))
    assert len(made._executor.submitted) == 5


class Small(HashExecutor):
    num_blocks = 9


@pytest.mark.parametrize("run_ahead", [True, False])
def test_preempted_requests_go_on_where_they_were(run_ahead: bool) -> None:
    made = engine(run_ahead, Small, max_num_seqs=4)
    prompts = {name: [ord(name)] * 20 for name in "abcd"}
    for name, prompt in prompts.items():
        made.add(request(name, prompt, max_tokens=60))
    tokens = run(made)
    assert tokens == {f"{name}/0": expected(prompt, 60) for name, prompt in prompts.items()}
    assert made.stats().num_preemptions > 0
    assert made.stats().num_blocks_used == 0


def test_abort_ends_one_sample_or_all() -> None:
    made = engine(True)
    made.add(request("a", [1, 2, 3], max_tokens=50, n=3))
    seen: set[int] = set()
    while len(seen) < 3:
        seen |= {output.index for output in made.step()}
    assert made.abort("a", 1) == 1
    assert made.abort("a", 1) == 0
    later = {output.index for _ in range(4) for output in made.step()}
    assert later == {0, 2}
    assert made.abort("a") == 2
    run(made)
    assert made.stats().num_blocks_used == 0


def test_a_stop_token_ends_a_sequence_and_its_overshoot_is_dropped() -> None:
    made = engine(True)
    prompt = [5, 6, 7]
    stop = expected(prompt, 4)[-1]
    made.add(request("a", prompt, max_tokens=50, stop_token_ids=[stop]))
    assert run(made) == {"a/0": expected(prompt, 4)}


def test_garbage_collections_leave_the_model_out_while_the_engine_lives() -> None:
    made = engine(True)
    assert gc.get_freeze_count() > 0
    made.add(request("a", [1, 2, 3], max_tokens=5, logprobs=2))
    assert not any(gc.is_tracked(output) for output in made.step()), "they hold no cycles"
    made.stop()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("run_ahead", [True, False])
def test_the_first_token_says_when_its_prompt_was_begun(run_ahead: bool) -> None:
    made, began = engine(run_ahead), time.monotonic()
    made.add(request("a", [1, 2, 3], max_tokens=3))
    made.add(request("gone", [4, 5, 6], max_tokens=3))
    outputs = made.step()
    made.abort("gone")
    while made.has_work:
        outputs += made.step()
    first, *rest = [output.began for output in outputs if output.request_id == "a"]
    assert began <= first <= time.monotonic()
    assert rest == [0.0, 0.0]
    assert not made._began
