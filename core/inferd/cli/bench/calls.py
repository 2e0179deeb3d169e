"""The kernels that one pass through a model calls, to be called again one kind at a time.

What is watched are the layers of `inferd.layers` and the attention backend, whatever the family and
whoever provides their ops. Activations are those of the first call of each kind; weights and caches
are each call's own, so that they are as cold as in a step.

Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from inferd.contracts.attention import AttentionParams
from inferd.contracts.quantization import ExpertsSpec
from inferd.contracts.scaled_formats import RoundedInputs
from inferd.layers import ActAndMul, Attention, Embedding, LinearLayer, LMHead, RMSNorm, Rotary
from inferd.layers.expert_bank import ExpertBank
from inferd.runner.build import Built

ATTENTION = "attention"
ABSENT = object()
Cost = Callable[[tuple[Any, ...], Any], tuple[int, int]]  # of arguments and result


@dataclass(frozen=True, slots=True)
class Call:
    """`run` does it again. `moved` bytes must be read or written at least."""

    kind: str
    run: Callable[[], object]
    moved: int
    flops: int
    is_linear: bool = False


class Capture:
    """Context manager: `calls` in the order in which they were made."""

    def __init__(self, built: Built, queries: Sequence[int], contexts: Sequence[int]) -> None:
        """`queries` and `contexts` per row of the batch that will run: what attention reads."""
        self.calls: list[Call] = []
        self._built = built
        self._rows = list(zip(queries, contexts, strict=True))
        self._lent: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._undo: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Capture:
        for name, module in self._built.model.named_modules():
            for attribute, kind, activations, cost in _watched(name.rpartition(".")[2], module):
                is_linear = cost in (linear_cost, gated_cost)
                self._wrap(module, attribute, kind, activations, cost, is_linear=is_linear)
        backend = self._built.choices.attention
        self._wrap(backend, "plan", "attention plan", 0, lambda *_: (0, 0))
        self._wrap(backend, "forward", ATTENTION, 1, self._attention_cost)
        return self

    def __exit__(self, *_: object) -> None:
        for owner, attribute, before in self._undo:
            if before is ABSENT:
                object.__delattr__(owner, attribute)
            else:
                object.__setattr__(owner, attribute, before)

    def _wrap(
        self,
        owner: Any,
        attribute: str,
        kind: str,
        activations: int,
        cost: Cost,
        *,
        is_linear: bool = False,
    ) -> None:
        """Note the calls of `owner.attribute`, whose first arguments are activations."""
        function: Callable[..., Any] = getattr(owner, attribute)

        def noted(*args: Any) -> Any:
            out = function(*args)
            moved, flops = cost(args, out)
            again = partial(function, *self._lend(kind, activations, args))
            self.calls.append(Call(kind, again, moved, flops, is_linear))
            return out

        self._undo.append((owner, attribute, vars(owner).get(attribute, ABSENT)))
        object.__setattr__(owner, attribute, noted)

    def _lend(self, kind: str, activations: int, args: tuple[Any, ...]) -> tuple[Any, ...]:
        own = args[:activations]
        key = (kind, *(each.shape if isinstance(each, Tensor) else None for each in own))
        return (*self._lent.setdefault(key, own), *args[activations:])

    def _attention_cost(self, args: tuple[Any, ...], out: Tensor) -> tuple[int, int]:
        params: AttentionParams = args[-1]
        spec = params.spec
        keys, products = attended(self._rows, spec.window)
        moved = keys * spec.bytes_per_token + num_bytes(args[0], out)
        sizes = spec.head_dim + (spec.value_dim or spec.head_dim)
        return moved, 2 * params.num_heads * sizes * products


def attended(rows: Sequence[tuple[int, int]], window: int | None) -> tuple[int, int]:
    """Keys that are read, and pairs of query and key, over rows of (queries, context)."""
    keys = products = 0
    for queries, context in rows:
        most = context if window is None else min(window, context)
        seen = [min(most, context - i) for i in range(queries)]  # from the last query back
        keys += min(context, most + queries - 1)
        products += sum(seen)
    return keys, products


def _watched(name: str, module: nn.Module) -> Iterator[tuple[str, str, int, Cost]]:
    """(attribute, kind, how many arguments are activations, cost)."""
    match module:
        case LinearLayer() | LMHead():
            yield "forward", name, 1, linear_cost
            if isinstance(module, LinearLayer):
                yield "in_one", name, 1, gated_cost
        case RMSNorm():
            yield "forward", "norm", 2, touched
        case ActAndMul():
            yield "forward", "activation", 1, touched
        case Embedding():
            yield "forward", "embedding", 1, lambda _, out: (2 * num_bytes(out), 0)
        case Rotary():
            yield "forward", "rope angles", 1, lambda *_: (0, 0)
        case Attention():
            yield "_rope_kv_write", "rope, KV write", 1, lambda args, _: (2 * num_bytes(args[0]), 0)
        case ExpertBank():
            yield "forward", "experts", 1, partial(experts_cost, module.spec)


def linear_cost(args: tuple[Any, ...], out_TN: Tensor) -> tuple[int, int]:
    """Of a weight in the type of its input, which an op before may have rounded."""
    (x,) = args
    x_TK = x.codes_TK if isinstance(x, RoundedInputs) else x
    weights = x_TK.shape[-1] * out_TN.shape[-1]
    moved = weights * x_TK.element_size() + num_bytes(x_TK, out_TN)
    return moved, 2 * len(x_TK) * weights


def gated_cost(args: tuple[Any, ...], out_TI: Tensor) -> tuple[int, int]:
    """Of gate and up, whose product is not written."""
    x_TK, _ = args
    weights = 2 * x_TK.shape[-1] * out_TI.shape[-1]
    return weights * x_TK.element_size() + num_bytes(x_TK, out_TI), 2 * len(x_TK) * weights


def experts_cost(spec: ExpertsSpec, args: tuple[Any, ...], out_TD: Tensor) -> tuple[int, int]:
    """Of dense weights; those of experts that no token chose need not be read."""
    x_TD, chosen_TC, _ = args
    weights = 3 * spec.hidden_size * spec.intermediate_size
    read = len(chosen_TC.unique()) * weights * x_TD.element_size()
    return read + num_bytes(x_TD, out_TD), 2 * chosen_TC.numel() * weights


def touched(args: tuple[Any, ...], out: Any) -> tuple[int, int]:
    return num_bytes(args, out), 0


def num_bytes(*values: Any) -> int:
    """Of all tensors in `values`, which may be nested in tuples."""
    total = 0
    for value in values:
        if isinstance(value, Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, tuple):
            total += num_bytes(*value)
        elif isinstance(value, RoundedInputs):
            total += num_bytes(value.codes_TK, value.scales_TG)
    return total
