"""Prefill attention of attention_triton beside libraries, on this GPU: microseconds and TFLOP/s.

    python bench/kernels/flash.py [--tokens 2048 4096 8192] [--page 16] [--json FILE]

One prompt with Llama-3.1-8B's heads, in bf16. Libraries read keys and values in one piece: they are
gathered from the pages first, and both times are given, with the gather and without. "repeated"
gives each query head keys and values of its own, for what knows no groups. What does not import or
refuses is named and left out. Without a GPU, --tokens 64 tries the script itself.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, L keys.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from attention_cases import (
    DEVICE,
    GROUP,
    HEADS,
    POOL_BYTES,
    SIZE,
    Case,
    make_pool,
    prefill_call,
)
from timing import graph_time
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from inferd_attention_triton.plan import device_of
from inferd_attention_triton.tuned import select, select_prefill

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # q_THE, k_LGE, v_LGE to out_THE


@dataclass(frozen=True)
class Measured:
    library: str
    tokens: int
    us: float
    gathered_us: float  # with the gather
    tflop_s: float  # with the gather
    deviation: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument("--page", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
    print(f"{name}, torch {torch.__version__}")
    pool = make_pool(args.page, POOL_BYTES if DEVICE.type == "cuda" else POOL_BYTES >> 10)
    found = []
    for tokens in args.tokens:
        case = Case(pool, [(tokens, tokens)], args.page)
        for library, measure in {"attention_triton": ours, **LIBRARIES}.items():
            row = attempt(library, case, measure)
            found += [row] if row else []
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in found], indent=1))


def attempt(library: str, case: Case, measure: Callable[[Case], tuple]) -> Measured | None:
    tokens = len(case.q_THE)
    try:
        alone, gathered, deviation = measure(case)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        print(f"left out: {library}, {tokens}: {type(error).__name__}: {reason[:90]}")
        return None
    rate = case.flops / gathered / 1e12
    row = Measured(library, tokens, alone * 1e6, gathered * 1e6, rate, deviation)
    print(
        f"{library:22} {tokens:5} tokens {row.us:9.1f} us, gathered {row.gathered_us:9.1f} us "
        f"{rate:6.1f} TFLOP/s off {deviation:.4f}"
    )
    return row


def ours(case: Case) -> tuple[float, float, float]:
    """Reads the pages where they are."""
    architecture, processors = device_of(DEVICE)
    tokens = len(case.q_THE)
    tiles = select(architecture, SIZE, 2)
    taken = seconds(
        prefill_call(case, select_prefill(tiles, HEADS, GROUP, tokens, tokens, processors))
    )
    return taken, taken, case.deviation()


def theirs(load: Callable[[], Attend]) -> Callable[[Case], tuple[float, float, float]]:
    def measure(case: Case) -> tuple[float, float, float]:
        attend, kv = load(), case.keys_values(0)
        alone = seconds(lambda: attend(case.q_THE, *kv))
        gathered = seconds(lambda: attend(case.q_THE, *case.keys_values(0)))
        return alone, gathered, case.deviation(attend(case.q_THE, *kv))

    return measure


def seconds(run: Callable[[], object]) -> float:
    if DEVICE.type == "cuda":
        return graph_time(run)
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def sdpa(backend: SDPBackend, repeats: int = 1) -> Attend:
    def attend(q_THE: Tensor, k_LGE: Tensor, v_LGE: Tensor) -> Tensor:
        k, v = (x.repeat_interleave(repeats, 1) if repeats > 1 else x for x in (k_LGE, v_LGE))
        heads_first = (x.transpose(0, 1).unsqueeze(0) for x in (q_THE, k, v))
        with sdpa_kernel(backend):
            out = F.scaled_dot_product_attention(
                *heads_first, is_causal=True, enable_gqa=repeats == 1
            )
        return out[0].transpose(0, 1)

    return attend


def flash_attn(module: str) -> Attend:
    """FlashAttention 2 as `flash_attn`, 3 as `flash_attn_interface`."""
    function = import_module(module).flash_attn_func

    def attend(q_THE: Tensor, k_LGE: Tensor, v_LGE: Tensor) -> Tensor:
        out = function(*(x.unsqueeze(0) for x in (q_THE, k_LGE, v_LGE)), causal=True)
        return (out[0] if isinstance(out, tuple) else out)[0]

    return attend


def vllm_flash_attn() -> Attend:
    """FlashAttention 3 as vLLM builds it, where vLLM is on the path."""
    function = import_module("vllm.vllm_flash_attn").flash_attn_varlen_func

    def attend(q_THE: Tensor, k_LGE: Tensor, v_LGE: Tensor) -> Tensor:
        tokens = len(q_THE)
        starts = torch.arange(2, dtype=torch.int32, device=DEVICE) * tokens
        ends = {"max_seqlen_q": tokens, "max_seqlen_k": tokens}
        ends |= dict.fromkeys(("cu_seqlens_q", "cu_seqlens_k"), starts)
        return function(q_THE, k_LGE, v_LGE, **ends, causal=True, fa_version=3)

    return attend


def flashinfer() -> Attend:
    function = import_module("flashinfer").single_prefill_with_kv_cache
    return lambda q_THE, k_LGE, v_LGE: function(q_THE, k_LGE, v_LGE, causal=True)


SDPA = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}
LIBRARIES = {
    **{f"torch {name}": theirs(lambda b=b: sdpa(b)) for name, b in SDPA.items()},
    **{f"torch {name}, repeated": theirs(lambda b=b: sdpa(b, GROUP)) for name, b in SDPA.items()},
    "flash_attn": theirs(lambda: flash_attn("flash_attn")),
    "flash_attn_interface": theirs(lambda: flash_attn("flash_attn_interface")),
    "vllm_flash_attn": theirs(vllm_flash_attn),
    "flashinfer": theirs(flashinfer),
}


if __name__ == "__main__":
    main()
