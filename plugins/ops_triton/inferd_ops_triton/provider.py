"""TritonOps: the ops that run as Triton kernels; the rest comes from other providers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
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
        from inferd_ops_triton.kernels import chain, latent, prepare, rope
        from inferd_ops_triton.kernels.experts import make_experts
        from inferd_ops_triton.kernels.sampling import sampling_ops
        from inferd_ops_triton.linear import DenseLinear
        from inferd_ops_triton.lookup import MakeLookup
        from inferd_ops_triton.packed import MakePacked
        from inferd_ops_triton.packed_experts import MakePackedExperts
        from inferd_ops_triton.scaled import MakeScaled
        from inferd_ops_triton.small import small_ops

        architecture = INTERPRETED if interpreting() else request.architecture
        rows = table(architecture)
        launch = chain.CHAINED if rows["chained"] else chain.ALONE
        dense = partial(DenseLinear, architecture=architecture, chain=launch)
        makers: dict[str, object] = {"dense": dense}
        for kind in (MakePacked, MakeScaled):
            made = kind(request.dtype, architecture, launch)
            makers |= dict.fromkeys(made.formats, made)
        lookup = MakeLookup(request.dtype)
        makers |= dict.fromkeys(lookup.formats, lookup)
        experts = MakePackedExperts(request.dtype, architecture)
        return {
            **small_ops(rows["small"]),
            "prepare_rope": rope.prepare_rope,
            "latent_kv_write": latent.latent_kv_write,
            "prepare_inputs": prepare.prepare_inputs,
            "linear": makers,
            "experts": {"dense": make_experts},
            "packed_experts": dict.fromkeys(experts.formats, experts),
            **sampling_ops(),
        }

    def rehearsal(self) -> AbstractContextManager[None]:
        from inferd_ops_triton.kernels import ahead

        return ahead.compiling_only()

    def warmed_up(self) -> None:
        from inferd_ops_triton.kernels import monitor

        monitor.watch()


def interpreting() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"
