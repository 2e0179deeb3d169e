"""Random mixtures of experts as GGUF files, for tests and to time packed experts.

    python -m bench.mixture_gguf FILE [--experts 16] [--hidden 1024] [--inner 768] [--layers 4]
    inferd bench latency --model FILE --skip-tokenizer-init --max-model-len 512 [--plugins no:gguf]

With `no:gguf` all weights are dequantized. The file is what llama.cpp's converter and quantizer
make of a Qwen3-MoE in Q4_K_M; blocks are random bytes whose scales give values a model's variance.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
from numpy.typing import NDArray

Kind = gguf.GGMLQuantizationType
FLOATS: dict[Kind, type[np.floating[Any]]] = {Kind.F32: np.float32, Kind.F16: np.float16}
HALVES = {  # where a block has its float16 numbers, and what they are before they are scaled
    Kind.Q4_0: {0: 1.0},
    Kind.Q4_1: {0: 1.0, 2: -7.5},
    Kind.Q8_0: {0: 1.0},
    Kind.Q4_K: {0: 1.0, 2: 7.5},
    Kind.Q5_K: {0: 1.0, 2: 15.5},
    Kind.Q6_K: {208: 1.0},
}
HEAD = 64  # size of a head


class Stored(NamedTuple):
    data: NDArray[Any]  # as the file has it: float32, or bytes of blocks
    kind: Kind

    @property
    def values(self) -> NDArray[np.float32]:
        """By gguf's own formulas."""
        if self.kind in FLOATS:
            return self.data.astype(np.float32)
        found: NDArray[np.float32] = gguf.dequantize(self.data, self.kind)
        return found


def draw(rng: np.random.Generator, shape: tuple[int, ...], kind: Kind, gain: float = 1) -> Stored:
    """Random values [..., columns] of variance gain ** 2 / columns; norms about one."""
    if len(shape) == 1:
        return Stored(rng.uniform(0.5, 2, shape).astype(np.float32), Kind.F32)
    std = gain / math.sqrt(shape[-1])
    if kind in FLOATS:
        return Stored((rng.standard_normal(shape) * std).astype(FLOATS[kind]), kind)
    size, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(256, size=(math.prod(shape) // size, num_bytes), dtype=np.uint8)
    _set_halves(blocks, kind, 1.0)
    _set_halves(blocks, kind, std / float(gguf.dequantize(blocks[:4096], kind).std()))
    return Stored(blocks.reshape(*shape[:-1], -1), kind)


def _set_halves(blocks: NDArray[np.uint8], kind: Kind, scale: float) -> None:
    if kind == Kind.MXFP4:  # the exponent of a power of two, half of it for twice the values
        blocks[:, 0] = 128 + round(math.log2(scale))
        return
    for at, number in HALVES[kind].items():
        blocks[:, at : at + 2] = np.array([number * scale], dtype=np.float16).view(np.uint8)


def write(path: Path, arch: str, fields: Mapping[str, Any], tensors: Mapping[str, Stored]) -> Path:
    """Metadata without the architecture's name, and tensors by GGUF's names."""
    writer = gguf.GGUFWriter(path, arch)
    kinds: dict[type, Any] = {
        int: writer.add_uint32,
        bool: writer.add_bool,
        float: writer.add_float32,
        str: writer.add_string,
    }
    for key, value in fields.items():
        kinds[type(value)](f"{arch}.{key}", value)
    for name, stored in tensors.items():
        writer.add_tensor(name, stored.data, raw_dtype=stored.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def metadata(args: argparse.Namespace) -> dict[str, Any]:
    heads = args.hidden // HEAD
    return {
        "block_count": args.layers,
        "context_length": 4096,
        "embedding_length": args.hidden,
        "feed_forward_length": 4 * args.inner,
        "attention.head_count": heads,
        "attention.head_count_kv": max(1, heads // 4),
        "attention.key_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e6,
        "expert_count": args.experts,
        "expert_used_count": args.chosen,
        "expert_feed_forward_length": args.inner,
    }


def qwen3_tensors(
    args: argparse.Namespace, rng: np.random.Generator
) -> Iterator[tuple[str, Stored]]:
    hidden, inner, experts = args.hidden, args.inner, args.experts
    kv = max(1, hidden // HEAD // 4) * HEAD
    yield "token_embd.weight", draw(rng, (args.vocab, hidden), Kind.Q4_K, math.sqrt(hidden))
    yield "output.weight", draw(rng, (args.vocab, hidden), Kind.Q6_K)
    yield "output_norm.weight", draw(rng, (hidden,), Kind.F32)
    for layer in range(args.layers):
        more = Kind.Q6_K if more_bits(layer, args.layers) else Kind.Q4_K
        for name, shape, kind in (
            ("attn_norm", (hidden,), Kind.F32),
            ("attn_q", (hidden, hidden), Kind.Q4_K),
            ("attn_k", (kv, hidden), Kind.Q4_K),
            ("attn_v", (kv, hidden), more),
            ("attn_q_norm", (HEAD,), Kind.F32),
            ("attn_k_norm", (HEAD,), Kind.F32),
            ("attn_output", (hidden, hidden), Kind.Q4_K),
            ("ffn_norm", (hidden,), Kind.F32),
            ("ffn_gate_inp", (experts, hidden), Kind.F32),
            ("ffn_gate_exps", (experts, inner, hidden), Kind.Q4_K),
            ("ffn_up_exps", (experts, inner, hidden), Kind.Q4_K),
            ("ffn_down_exps", (experts, hidden, inner), more),
        ):
            yield f"blk.{layer}.{name}.weight", draw(rng, shape, kind)


def more_bits(layer: int, layers: int) -> bool:
    """In which layers Q4_K_M has Q6_K for values and for what leads back: about half of them."""
    first = layers // 8
    return layer < first or layer >= 7 * layers // 8 or (layer - first) % 3 == 2


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mixture_gguf", description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--chosen", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--inner", type=int, default=768)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab", type=int, default=4096)
    args = parser.parse_args(argv)
    tensors = dict(qwen3_tensors(args, np.random.default_rng(0)))
    write(args.path, "qwen3moe", metadata(args), tensors)
    print(f"{args.path}: {args.path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
