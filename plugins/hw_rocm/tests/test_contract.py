"""The platform rocm keeps the contract on a simulated ROCm build of torch."""

from __future__ import annotations

import inspect

import pytest
import torch
from simulated_hip import SimulatedHip

from inferd.builtin.cuda import CudaPlatform
from inferd.testing import PlatformContract
from inferd_hw_rocm.platform import RocmPlatform


class TestContract(PlatformContract):
    plugin = "hw_rocm"
    platform = "rocm"

    @pytest.fixture(autouse=True)
    def _simulated(self, torch_as):
        self.hip = torch_as().cuda

    def full(self, platform, numel, value):
        self.hip._allocate(4 * numel)
        return torch.full((numel,), value, dtype=torch.float32)


def test_the_architecture_comes_without_features(torch_as):
    torch_as()
    assert RocmPlatform().architecture == "gfx942"


def test_weights_in_float32_are_halved(torch_as):
    torch_as()
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    preferred = [RocmPlatform().preferred_dtype(dtype) for dtype in dtypes]
    assert preferred == [torch.bfloat16, torch.float16, torch.bfloat16]


def test_detecting_leaves_the_device_alone(torch_as):
    hip = torch_as().cuda
    assert RocmPlatform.detect()
    assert not hip._initialized
    RocmPlatform().prepare()
    assert hip._initialized


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"hip": None, "cuda": "13.0"}, "without ROCm"),
        ({"hip": None}, "without ROCm"),
        ({"devices": 0}, "no AMD GPU is visible"),
    ],
)
def test_it_refuses_with_the_reason(torch_as, facts, reason):
    torch_as(**facts)
    verdict = RocmPlatform.detect()
    assert not verdict
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("facts", "answers"),
    [
        ({"hip": "7.1"}, (False, True)),
        ({"hip": None, "cuda": "13.0"}, (True, False)),
        ({"hip": None}, (False, False)),
        ({"hip": "7.1", "devices": 0}, (False, False)),
    ],
)
def test_cuda_and_rocm_never_both_say_yes(torch_as, facts, answers):
    torch_as(**facts)
    assert (bool(CudaPlatform.detect()), bool(RocmPlatform.detect())) == answers


def test_on_rocm_cuda_names_this_plugin(torch_as):
    torch_as()
    assert "inferd-hw-rocm" in CudaPlatform.detect().reason


def test_the_simulation_has_no_call_that_torch_lacks():
    calls = [name for name in vars(SimulatedHip) if not name.startswith("_")]
    assert len(calls) > 10
    for name in calls:
        real, simulated = (inspect.signature(getattr(o, name)) for o in (torch.cuda, SimulatedHip))
        unknown = simulated.parameters.keys() - real.parameters.keys() - {"self"}
        assert not unknown, f"torch.cuda.{name} takes no {unknown}"


@pytest.mark.parametrize("name", ["cudart", "nvtx", "is_bf16_supported", "get_arch_list"])
def test_any_other_call_fails(torch_as, name):
    with pytest.raises(AttributeError, match=name):
        getattr(torch_as().cuda, name)
