"""NumbaOps: the ops of a layer, each one call of compiled code.

Matrices in float32, and on CPUs without AVX-512 or with AMX, stay with the provider below.
Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.ops import OpProvider, OpRequest
from inferd.contracts.platform import Record
from inferd.contracts.verdict import Verdict
from inferd.layers.gathered import packed_experts
from inferd_cpu_numba import runtime
from inferd_cpu_numba.arena import Arena
from inferd_cpu_numba.grouped import FORMATS, MakeGrouped
from inferd_cpu_numba.inputs import Embedding, PrepareInputs
from inferd_cpu_numba.linear import MakeLinear, supported
from inferd_cpu_numba.player import Player
from inferd_cpu_numba.rope import RopeKvWrite, prepare_rope
from inferd_cpu_numba.sampling import Argmax, Draw, Mask
from inferd_cpu_numba.tape import Tape
from inferd_cpu_numba.threads import threads_for
from inferd_cpu_numba.weights import WeightMemory


class NumbaOps(OpProvider):
    """bfloat16 and float32."""

    name = "numba"

    def __init__(self) -> None:
        self._compiler = runtime.Compiler()
        self._arena = Arena()
        self._player: Player

    @property
    def record(self) -> Record:
        return self._recorded

    def _recorded(self, run: Callable[[], Sequence[Tensor]]) -> Tape:
        tape = Tape(self._arena, self._player)
        tape.record(run)
        return tape

    @classmethod
    def supports(cls, request: OpRequest) -> Verdict:
        return runtime.supports(request.platform, request.dtype)

    def ops(self, request: OpRequest) -> Mapping[str, object]:
        """Compiles, the first time on a machine."""
        from inferd_cpu_numba.kernels import activation, norm, rope
        from inferd_cpu_numba.kernels.numbers import REASSOCIATED

        bits, compiler = runtime.BITS[request.dtype], self._compiler
        self._player = Player(compiler)

        def call(body: Callable[[int], None], kinds: str) -> runtime.Call:
            return compiler.call(body, kinds, fastmath=REASSOCIATED)

        silu, gelu_tanh = (
            Activation(call(activation.make_act_and_mul(bits, kind), activation.ACT_AND_MUL))
            for kind in (activation.SILU, activation.GELU_TANH)
        )
        offered: dict[str, object] = {
            "rms_norm": RmsNorm(call(norm.make_rms_norm(bits), norm.RMS_NORM)),
            "add_rms_norm": AddRmsNorm(call(norm.make_add_rms_norm(bits), norm.ADD_RMS_NORM)),
            "act_and_mul": {"silu": silu, "gelu_tanh": gelu_tanh},
            "mask": Mask(compiler, bits),
            "argmax": Argmax(compiler, bits),
            "draw": Draw(compiler, bits),
            "embedding": Embedding(compiler),
            "prepare_inputs": PrepareInputs(compiler),
        }
        if request.kv_dtype is None:
            write = RopeKvWrite(call(rope.make_rope_kv_write(bits), rope.ROPE_KV_WRITE))
            offered |= {"prepare_rope": prepare_rope, "rope_kv_write": write}
        if bits == 16 and supported():
            offered |= _linears(compiler)
        return offered


def _linears(compiler: runtime.Compiler) -> dict[str, object]:
    """By weight format; experts of packed ones."""
    from inferd_cpu_numba.kernels import grouped, layout, linear, pack
    from inferd_cpu_numba.kernels.numbers import REASSOCIATED

    def compile_for(kind: Any) -> runtime.Call:
        body = grouped.make_grouped(kind)
        return compiler.call(body, layout.GROUPED, fastmath=REASSOCIATED)

    memory, size = WeightMemory(), 2 if runtime.multiplies_pairs() else 4
    call = compiler.call(linear.make_linear(size), linear.LINEAR)
    dense = MakeLinear(call, compiler.call(pack.make_pack(), pack.PACK), memory, size)
    packed = MakeGrouped(compile_for, dense, memory, size)
    return {
        "linear": {"dense": dense} | dict.fromkeys(FORMATS, packed),
        "packed_experts": dict.fromkeys(FORMATS, packed_experts(packed)),
    }


class Op:
    def __init__(self, call: runtime.Call) -> None:
        self._call = call


class RmsNorm(Op):
    """Of [T, D], or of heads [T, H, E] with any strides but the last."""

    def __call__(self, x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
        out_TD = torch.empty(x_TD.shape, dtype=x_TD.dtype)
        tokens, size = x_TD.shape[0], x_TD.shape[-1]
        group, inner = (1, 0) if x_TD.dim() == 2 else (x_TD.shape[1], x_TD.stride(1))
        self._call(
            threads_for(tokens),
            x_TD.data_ptr(),
            weight_D.data_ptr(),
            tokens * group,
            size,
            eps,
            out_TD.data_ptr(),
            group,
            x_TD.stride(0),
            inner,
        )
        return out_TD


class AddRmsNorm(Op):
    """The sum takes the residual's memory, its norm that of x."""

    def __call__(
        self, x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        tokens, size = x_TD.shape
        x, residual, weight = x_TD.data_ptr(), residual_TD.data_ptr(), weight_D.data_ptr()
        self._call(threads_for(tokens), x, weight, tokens, size, eps, residual)
        return x_TD, residual_TD


class Activation(Op):
    def __call__(self, x_T2I: Tensor) -> Tensor:
        tokens, size = x_T2I.shape[0], x_T2I.shape[1] // 2
        out_TI = torch.empty((tokens, size), dtype=x_T2I.dtype)
        self._call(threads_for(tokens), x_T2I.data_ptr(), out_TI.data_ptr(), tokens, size)
        return out_TI
