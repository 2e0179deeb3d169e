"""TritonOps: the ops that run as Triton kernels; the rest comes from other providers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import partial

import torch

from inferd.contracts.ops import OpProvider, OpRequest
from inferd.contracts.verdict import YES, Verdict, no
from inferd_ops_triton.tables import INTERPRETED, table

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


class TritonOps(OpProvider):
    """On NVIDIA and AMD."""

    name = "triton"

    @classmethod
    def supports(cls, request: OpRequest) -> Verdict:
        if importlib.util.find_spec("triton") is None:
            return no("triton is not installed; pip install inferd[triton]")
        # on a CPU only for tests: in the interpreter a step takes seconds
        if request.platform not in ("cuda", "rocm") and not interpreting():
            return no(f"made for cuda and rocm, this is {request.platform}")
        if request.dtype not in DTYPES:
            return no(f"{request.dtype}; it knows {', '.join(map(str, DTYPES))}")
        return YES

    def ops(self, request: OpRequest) -> Mapping[str, object]:
        from inferd_ops_triton.kernels import activation, chain, embedding, norm, prepare, rope
        from inferd_ops_triton.kernels.sampling import sampling_ops
        from inferd_ops_triton.linear import make_linear

        architecture = INTERPRETED if interpreting() else request.architecture
        launch = chain.CHAINED if table(architecture)["chained"] else chain.ALONE
        act_and_mul = activation.act_and_mul
        return {
            "rms_norm": partial(norm.rms_norm, chain=launch),
            "add_rms_norm": partial(norm.add_rms_norm, chain=launch),
            "act_and_mul": {
                name: partial(act_and_mul, act=name, chain=launch)
                for name in ("silu", "gelu", "gelu_tanh")
            },
            "embedding": partial(embedding.embedding, chain=launch),
            "prepare_rope": rope.prepare_rope,
            "rope_kv_write": partial(rope.rope_kv_write, chain=launch),
            "prepare_inputs": prepare.prepare_inputs,
            "linear": {"dense": partial(make_linear, architecture=architecture, chain=launch)},
            **sampling_ops(),
        }


def interpreting() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"
