"""From facts to a model of transformers on its device, waiting for weights."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inferd.contracts.model import BuildContext
from inferd.contracts.weights import TakesWeights

from .architecture import find_class
from .experts import activation_of, experts_of
from .facts import Facts, base_of, build_on_meta
from .interface import EXPERTS, RUN
from .names import Conversion
from .norms import replace_norms
from .weights import ExpertsWeights, ModuleWeights, TiedHead, TokenLinear


@dataclass(frozen=True, slots=True)
class Built:
    model: Any  # transformers'
    base: Any  # the part of it from token ids to hidden states
    targets: Mapping[str, TakesWeights]
    conversion: Conversion
    recordable: bool


def build_model(facts: Facts, build: BuildContext) -> Built:
    """Linears are never allocated by transformers, so that no weight is there twice."""
    kind, hf_config = find_class(
        build.config.architecture, json.loads(json.dumps(build.config.hf, default=dict))
    )
    hf_config.dtype = build.config.dtype  # some modules ask it, and not torch's default
    with _default_dtype(build.config.dtype):
        model = build_on_meta(kind, hf_config)
    model.config._attn_implementation = RUN
    conversion = Conversion(model, model.state_dict())
    linears, heads = _linears(model, facts)
    _put_on_device(model, set(linears), build.device)
    replace_norms(model, build)
    targets = _replace_linears(model, linears, build)
    activations = {m: activation_of(m, build) for m in experts_of(model).values()}
    ours = all(activations.values())
    model.config._experts_implementation = RUN if ours else "eager"
    for name, module in model.named_modules():
        if name in heads or isinstance(module, TokenLinear):
            continue
        weights = ModuleWeights(module, _tied_in(model, name))
        if ours and module in activations:
            targets[name] = ExpertsWeights(module, str(activations[module]), EXPERTS, build)
        elif weights.tensors:
            targets[name] = weights
    for name in heads:
        targets[name] = _tied_head(model, name, targets, build)
    return Built(model, base_of(model), targets, conversion, ours and not facts.waits)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _linears(model: Any, facts: Facts) -> tuple[list[str], list[str]]:
    """Names of those that load their weight, and of those that use another module's."""
    tied = model.all_tied_weights_keys
    kept = facts.whole | {source.removesuffix(".weight") for source in tied.values()}
    names = [
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and name not in kept
    ]
    heads = [name for name in names if f"{name}.weight" in tied]
    return [name for name in names if name not in heads], heads


def _replace_linears(
    model: Any, names: Sequence[str], build: BuildContext
) -> dict[str, TakesWeights]:
    linears = {name: TokenLinear(name, model.get_submodule(name), build) for name in names}
    for name, linear in linears.items():
        model.set_submodule(name, linear)
    return dict(linears)


def _put_on_device(model: Any, left_out: Collection[str], device: torch.device) -> None:
    """Parameters with anything in them; buffers as transformers computes them."""
    tied: dict[str, str] = model.all_tied_weights_keys
    strict = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for path, module in model.named_modules():
        for store in () if path in left_out else (module._parameters, module._buffers):
            for name, tensor in store.items():
                if tensor is not None and f"{path}.{name}" not in tied:
                    full = any(word in f"{path}.{name}" for word in strict)
                    store[name] = _empty(tensor, torch.float32 if full else tensor.dtype, device)
    model.initialize_weights()
    for target, source in tied.items():
        path, _, name = target.rpartition(".")
        model.get_submodule(path)._parameters[name] = model.get_parameter_or_buffer(source)


def _empty(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    data = torch.empty(tensor.shape, dtype=dtype, device=device)
    if not isinstance(tensor, nn.Parameter):
        return data
    parameter = nn.Parameter(data, requires_grad=False)
    parameter._is_hf_initialized = True  # type: ignore[attr-defined]  # it is loaded, not drawn
    return parameter


def _tied_in(model: Any, name: str) -> frozenset[str]:
    """The parameters of a module that another module loads."""
    paths = (path.rpartition(".") for path in model.all_tied_weights_keys)
    return frozenset(leaf for parent, _, leaf in paths if parent == name)


def _tied_head(
    model: Any, name: str, targets: Mapping[str, TakesWeights], build: BuildContext
) -> TiedHead:
    tied: dict[str, str] = model.all_tied_weights_keys
    names = _tied_in(model, name)
    sources = [targets[tied[f"{name}.{leaf}"].rpartition(".")[0]] for leaf in sorted(names)]
    head = TiedHead(model.get_submodule(name), names, sources, build)
    model.set_submodule(name, head)
    return head
