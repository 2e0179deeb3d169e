"""A rehearsal compiles for a GPU that this machine lacks: each kernel once, running nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.experimental.gluon.language import NVMMASharedLayout
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor
from triton.runtime import build
from triton.runtime.jit import JITFunction

from inferd_ops_triton.kernels import activation, ahead, gated, launch_gated, norm
from inferd_ops_triton.tables import GatedTiles, table

KERNELS: tuple[Any, ...] = (
    norm.rms_norm_kernel,
    activation.act_and_mul_kernel,
    gated.gated_kernel,
)


class Device:
    """What Triton asks of a driver; notes what is loaded and launched."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.launched: list[Any] = []
        self.utils = SimpleNamespace(
            load_binary=self._load, get_device_properties=lambda _: {"max_shared_mem": 232448}
        )

    def _load(self, name: str, *_: object) -> tuple[object, ...]:
        self.loaded.append(name)
        return object(), object(), 32, 0, 1024

    def launcher_cls(self, src: Any, metadata: Any) -> Any:
        return lambda *args: self.launched.append((metadata.name, args[:3]))

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return device


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Device]:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    device = Device()
    triton.runtime.driver.set_active(device)
    for kernel in KERNELS:
        monkeypatch.setattr(
            kernel, "device_caches", type(kernel.device_caches)(kernel.create_binder)
        )
    yield device
    triton.runtime.driver.set_active(None)


def layers(rows: int) -> None:
    x_TD, weight_D = torch.ones(rows, 64), torch.ones(64)
    for _ in range(3):
        norm.rms_norm(x_TD, weight_D, 1e-6, chain=norm.ALONE)
        activation.act_and_mul(x_TD, "silu")


def test_a_rehearsal_compiles_and_runs_nothing(device: Device) -> None:
    usual = JITFunction.run
    with ahead.compiling_only():
        layers(4)
        layers(8)
    assert sorted(device.loaded) == ["act_and_mul_kernel", "rms_norm_kernel"]
    assert device.launched == []
    assert JITFunction.run is usual


def test_a_kernel_in_gluon_is_compiled_for_any_number_of_tokens(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_gated, "_multiprocessors", lambda _: 132)
    weight_NK, tiles = torch.ones(256, 64).bfloat16(), GatedTiles(*table("sm_90")["gated"])
    multiply = launch_gated.gated(weight_NK, "silu", tiles)
    with ahead.compiling_only():
        for tokens in (512, 1000):
            assert multiply(torch.ones(tokens, 64).bfloat16()).shape == (tokens, 128)
    assert device.loaded == ["gated_kernel"]
    assert device.launched == []


def test_tensor_descriptors_are_alike_by_what_is_compiled_for_them() -> None:
    layout = NVMMASharedLayout(128, 16, rank=2)
    kinds = [
        ahead._kind(
            TensorDescriptor(torch.empty(rows, 64, dtype=dtype), [rows, 64], [64, 1], box, layout)
        )
        for rows, dtype, box in [
            (16, torch.float16, [8, 64]),
            (32, torch.float16, [8, 64]),
            (16, torch.bfloat16, [8, 64]),
            (16, torch.float16, [16, 64]),
        ]
    ]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3


def test_syntax_trees_are_made_one_at_a_time(device: Device, monkeypatch: Any) -> None:
    """Two that Python 3.11 makes at once may fail."""
    usual, at_once, most = JITFunction.parse, [], []

    def parse(self: Any) -> Any:
        at_once.append(self)
        most.append(len(at_once))
        time.sleep(0.01)  # lets another thread in, if one may come
        tree = usual(self)
        at_once.remove(self)
        return tree

    monkeypatch.setattr(JITFunction, "parse", parse)
    with ahead.compiling_only():
        layers(4)
    assert len(most) > 1
    assert max(most) == 1
    assert JITFunction.parse is parse


def test_what_was_rehearsed_is_not_compiled_again(device: Device, monkeypatch: Any) -> None:
    with ahead.compiling_only():
        layers(4)
    for kernel in KERNELS:
        assert kernel.device_caches[0]  # made now, if it was not: that sets the compiler
        monkeypatch.setattr(kernel, "compile", lambda *_, **__: pytest.fail("compiled anew"))
    layers(4)
    assert len(device.launched) == 6


def test_a_kernel_that_does_not_compile_says_so(device: Device, monkeypatch: Any) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such instruction")

    assert norm.rms_norm_kernel.device_caches[0]  # made now, which sets the compiler
    monkeypatch.setattr(norm.rms_norm_kernel, "compile", broken)
    for _ in range(2):  # the second finds nothing left over
        with pytest.raises(RuntimeError, match="no such instruction"), ahead.compiling_only():
            layers(4)


def test_launchers_keep_the_functions_that_they_were_loaded_with(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python loads extension modules: one that it has seen fills the last one of that name."""
    seen: list[str] = []
    modules: list[SimpleNamespace] = []
    at_once, most = [], []

    def load(_: str, path: str) -> SimpleNamespace:
        at_once.append(path)
        most.append(len(at_once))
        if path not in seen:
            modules.append(SimpleNamespace())
        seen.append(path)
        modules[-1].launch = f"launch of {path}"
        time.sleep(0.01)  # lets another thread in, if one may come
        at_once.remove(path)
        return modules[-1]

    monkeypatch.setattr(build, "_load_module_from_path", load)
    with ahead.compiling_only(), ThreadPoolExecutor(4) as pool:
        load_here = partial(build._load_module_from_path, "__triton_launcher")
        loaded = list(pool.map(load_here, "abaabb"))
    assert [module.launch for module in loaded] == [f"launch of {path}" for path in "abaabb"]
    assert max(most) == 1
    assert build._load_module_from_path is load
