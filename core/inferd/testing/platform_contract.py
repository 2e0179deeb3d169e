"""PlatformContract: a platform says what it is, counts memory and replays what it records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from inferd.config.scheduler import SchedulerOptions
from inferd.contracts.platform import Platform
from inferd.contracts.verdict import Verdict
from inferd.testing.one_thread import OneThread
from inferd.testing.plugin_contract import PluginContract, implementation

CHECKPOINTS = (torch.float32, torch.float16, torch.bfloat16)
MANY = 1 << 20  # elements: more than an allocator rounds up to


class PlatformContract(OneThread, PluginContract):
    """Run it where the hardware is, or against a simulation of it.

        class TestContract(PlatformContract):
            plugin = "hw_rocm"
            platform = "rocm"

    A simulation installs itself in a fixture and overrides `full`. Where the platform is not
    detected, what needs the hardware is skipped with its reason.
    """

    platform: ClassVar[str]

    def implementation(self) -> type[Platform]:
        """What is tested: the registered class."""
        kind: type[Platform] = implementation(self.plugin, "platforms", self.platform)
        return kind

    def full(self, platform: Platform, numel: int, value: float) -> Tensor:
        """A new float32 tensor in the device's memory."""
        return torch.full((numel,), value, dtype=torch.float32, device=platform.device)

    def ready(self) -> Platform:
        verdict = self.implementation().detect()
        if not verdict:
            pytest.skip(f"{self.platform}: {verdict.reason}")
        platform = self.implementation()()
        platform.prepare()
        return platform

    def test_name_is_the_registered_one(self) -> None:
        assert self.implementation().name == self.platform

    def test_detect_says_why_not(self) -> None:
        verdict = self.implementation().detect()
        assert isinstance(verdict, Verdict)
        assert verdict or verdict.reason.strip(), "a platform that is not there says why"

    def test_scheduler_defaults_are_options(self) -> None:
        unknown = self.implementation().scheduler_defaults.keys() - SchedulerOptions.model_fields
        assert not unknown, f"scheduler_defaults names {unknown}, which SchedulerOptions has not"

    def test_architecture_can_name_a_file(self) -> None:
        found = self.ready().architecture
        assert re.fullmatch(r"[a-z0-9_]+", found), f"{found!r} is the key of tuning tables"

    def test_device_holds_tensors(self) -> None:
        platform = self.ready()
        assert isinstance(platform.device, torch.device)
        assert self.full(platform, 4, 0.5).sum().item() == 2

    @pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
    def test_preferred_dtype_holds_weights(self, checkpoint: torch.dtype) -> None:
        assert self.ready().preferred_dtype(checkpoint) in CHECKPOINTS

    def test_the_kv_cache_fits(self) -> None:
        platform = self.ready()
        free = platform.free_memory()
        half, most = (platform.default_kv_bytes(free, share) for share in (0.5, 1.0))
        assert 0 < half <= most <= free
        assert half <= free / 2, "gpu_memory_utilization is the most that the cache may take"

    def test_peak_bytes_counts_what_is_freed_again(self) -> None:
        platform = self.ready()
        held = self.full(platform, MANY, 0)
        peak = platform.peak_bytes(lambda: self.full(platform, MANY, 1))
        least = held.nbytes
        assert peak == 0 or least <= peak < 2 * least, f"{peak} bytes for a tensor of {least}"

    def test_recorded_launches_read_new_contents(self) -> None:
        platform = self.ready()
        inputs = [self.full(platform, 8, 1), self.full(platform, 8, 2)]
        if not platform.can_record:
            with pytest.raises(NotImplementedError, match=platform.name):
                platform.record(lambda: inputs)
            return
        runs: list[Callable[[], Sequence[Tensor]]] = [
            lambda: [inputs[0] * 2 + 1],
            lambda: [inputs[1] - 1, inputs[1].to(torch.bfloat16)],
        ]
        for run in runs:
            run()
        twice, less = (platform.record(run) for run in runs)
        for value in (3.0, 5.0):
            for each in inputs:
                each.fill_(value)
            assert [t.tolist() for t in twice.replay()] == [[value * 2 + 1] * 8]
            assert [t.tolist() for t in less.replay()] == [[value - 1] * 8, [value] * 8]
        platform.synchronize()
