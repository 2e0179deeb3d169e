"""A plugin's logits processor that raises fails its own request, and the engine goes on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import picky_plugin
import pytest
import torch
from prompts import random_prompts
from served_engine import serving

from inferd import SamplingParams, StructuredOutputs
from inferd.engine.async_engine import AsyncEngine
from inferd.engine.engine import Engine

PROMPTS = random_prompts(5, 20, 40, seed=1)
GOOD = SamplingParams(temperature=1.0, seed=1, max_tokens=12, ignore_eos=True)
BAD = {
    seed: SamplingParams(temperature=1.0, seed=seed, max_tokens=12, ignore_eos=True)
    for seed in (666, 667)
}
WORDS = {666: "this one is not sampled", 667: "this one is not admitted"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    picky_plugin.install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    yield tmp_path
    sys.modules.pop("picky_plugin_module", None)


@pytest.mark.parametrize("seed", BAD)
@pytest.mark.parametrize("ahead", [True, False])
def test_llm(installed: Path, make_llm: Any, seed: int, ahead: bool) -> None:
    llm = make_llm(async_scheduling=ahead)
    alone = [sample.outputs[0] for sample in llm.generate(PROMPTS, GOOD)]
    for _ in range(2):
        first, failed, last = llm.generate(PROMPTS, [GOOD, BAD[seed], GOOD])
        assert [first.outputs[0], last.outputs[0]] == [alone[0], alone[2]]
        assert failed.finished
        sample = failed.outputs[0]
        assert (sample.finish_reason, sample.token_ids) == ("error", [])
        assert WORDS[seed] in sample.error
    stats = llm._engine.stats()
    assert (stats.num_running, stats.num_blocks_used) == (0, 0)


def test_async_engine(installed: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    async def last(engine: AsyncEngine, prompt: list[int], params: Any, name: str) -> Any:
        return [news async for news in engine.generate(prompt, params, name)][-1].outputs[0]

    async def run(served: Any) -> None:
        async with served.front_end() as engine:
            each = zip(PROMPTS, (GOOD, BAD[666], BAD[667]), "abc", strict=True)
            found = await asyncio.gather(*(last(engine, *one) for one in each))
            assert [sample.finish_reason for sample in found] == ["length", "error", "error"]
            assert WORDS[666] in found[1].error
            assert WORDS[667] in found[2].error
            assert (await last(engine, PROMPTS[0], GOOD, "d")).finish_reason == "length"

    with serving(checkpoints["LlamaForCausalLM"], tmp_path) as served:
        asyncio.run(run(served))


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("launch", ["forward", "sample"])
@pytest.mark.parametrize("wanted", [None, StructuredOutputs(regex="[a-z]{12}")])
def test_a_step_that_needs_too_much_memory_fails_one_request(
    make_llm: Any, monkeypatch: pytest.MonkeyPatch, ahead: bool, launch: str, wanted: Any
) -> None:
    llm = make_llm(async_scheduling=ahead, enable_prefix_caching=False)
    params = SamplingParams(temperature=1.0, seed=1, max_tokens=12, structured_outputs=wanted)
    prompts = [*PROMPTS, PROMPTS[0] + PROMPTS[1] + PROMPTS[2]]
    alone = [output.outputs[0] for output in llm.generate(prompts, params)]
    runner = llm._engine._executor._runner
    real, calls = getattr(runner, launch), []

    def fail(what: Any) -> None:
        calls.append(what)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        real(what)

    monkeypatch.setattr(runner, launch, fail)
    found = [output.outputs[0] for output in llm.generate(prompts, params)]
    wrong = [place for place, sample in enumerate(found) if sample.finish_reason == "error"]
    assert len(wrong) == 1
    assert "tried to allocate 2.00 GiB" in found[wrong[0]].error
    assert found[wrong[0]].error_code == "out_of_memory"
    right = [place for place in range(len(prompts)) if place not in wrong]
    assert [found[place] for place in right] == [alone[place] for place in right]
    assert llm.generate(prompts, params)[0].outputs[0] == alone[0]
    stats = llm._engine.stats()
    assert (stats.num_running, stats.num_blocks_used) == (0, 0)


def test_a_worker_that_dies_ends_the_llms_call(
    make_llm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hang, and says what happened, each time."""
    llm = make_llm()

    def fail(*_: Any) -> None:
        raise RuntimeError("the device fell off")

    monkeypatch.setattr(llm._engine._executor._runner, "forward", fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="fell off"):
            llm.generate(PROMPTS, GOOD)
    assert isinstance(llm._engine, Engine)
