"""PlatformContract catches planted bugs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from inferd.builtin.cpu import CpuPlatform
from inferd.contracts.verdict import no
from inferd.testing import PlatformContract


class Silent(CpuPlatform):
    @classmethod
    def detect(cls):
        return no("")


class Renamed(CpuPlatform):
    name = "gpu"


class UnknownDefault(CpuPlatform):
    scheduler_defaults = {"max_seqs": 8}


class Featured(CpuPlatform):
    architecture = "gfx942:sramecc+:xnack-"


class Greedy(CpuPlatform):
    def default_kv_bytes(self, free, utilization):
        return free


class Forgetful(CpuPlatform):
    def peak_bytes(self, run):
        run()
        return 8


class Wide(CpuPlatform):
    def preferred_dtype(self, checkpoint):
        return torch.float64


class Stale(CpuPlatform):
    can_record = True

    def record(self, run):
        outputs = run()
        return SimpleNamespace(replay=lambda: outputs)


class Undeclared(CpuPlatform):
    def record(self, run):
        return SimpleNamespace(replay=run)


PLANTED = {
    "test_detect_says_why_not": (Silent,),
    "test_name_is_the_registered_one": (Renamed,),
    "test_scheduler_defaults_are_options": (UnknownDefault,),
    "test_architecture_can_name_a_file": (Featured,),
    "test_the_kv_cache_fits": (Greedy,),
    "test_peak_bytes_counts_what_is_freed_again": (Forgetful,),
    "test_preferred_dtype_holds_weights": (Wide, torch.float32),
    "test_recorded_launches_read_new_contents": (Stale,),
}


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """With it set, preparing the CPU leaves the number of threads alone."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


def check(kind, name, *args):
    contract = PlatformContract()
    contract.platform = "cpu"
    contract.implementation = lambda: kind
    getattr(contract, name)(*args)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bugs_are_caught(name):
    kind, *args = PLANTED[name]
    check(CpuPlatform, name, *args)
    with pytest.raises(AssertionError):
        check(kind, name, *args)


def test_recording_without_saying_so_is_caught():
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check(Undeclared, "test_recorded_launches_read_new_contents")
