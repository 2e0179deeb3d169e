"""The step that runs before any request."""

from __future__ import annotations

import pytest
import torch

from inferd.builtin.cpu import CpuPlatform
from inferd.config.engine import EngineConfig
from inferd.host.host import Host
from inferd.runner.build import Built, build
from inferd.runner.workspace import LargestStep
from inferd.testing.tiny import write_checkpoint


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Builds a tiny model and gives the tokens and the decoding rows of the steps that ran."""
    write_checkpoint(tmp_path, "LlamaForCausalLM")
    ran: list[tuple[int, int]] = []
    batch_of = LargestStep._batch

    def noted(step: LargestStep, device: torch.device):
        batch = batch_of(step, device)
        ran.append((batch.num_tokens, batch.num_decodes))
        return batch

    def start(**options: int) -> tuple[Built, list[tuple[int, int]]]:
        monkeypatch.setattr(LargestStep, "_batch", noted)
        config = EngineConfig.of(str(tmp_path), dtype="float32", num_blocks=20, **options)
        with torch.inference_mode():
            return build(config, Host.of(config.plugins)), ran

    return start


def test_a_start_on_a_cpu_does_not_wait_for_a_step_of_as_many_tokens_as_one_may_have(started):
    built, ran = started()
    assert built.scheduler.max_num_batched_tokens == 2048
    assert ran == [(128, 31)]


def test_where_fewer_do_not_show_what_the_most_need_the_largest_step_runs(started, monkeypatch):
    monkeypatch.setattr(CpuPlatform, "rehearsed_tokens", None)
    _, ran = started(max_num_batched_tokens=512, max_num_seqs=8)
    assert ran == [(512, 7)]


def test_a_step_that_is_smaller_than_that_stays_what_it_is(started):
    _, ran = started(max_num_batched_tokens=64, max_num_seqs=2)
    assert ran == [(64, 1)]
