r"""What rounding costs: the perplexity of texts, beside that of the same weights in bfloat16.

    python -m bench.rounding [--texts 48] quantization=fp8 model=FOLDER \
        kv_cache_dtype=fp8 kv_cache_dtype=fp8,calculate_kv_scales=false

Each word is a run: options of `LLM` for SmolLM2's dense weights, or another checkpoint of them.
The error is that of the mean over texts, in pairs: two runs that differ by less say nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import torch
from bench.peers.processes import PROMPTS, convert
from bench.scoring import perplexity, scored
from torch import Tensor

from inferd.config.paths import cache_dir

CALIBRATED = 16  # texts that checkpoints of `make test-oracles` were calibrated with: the first


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rounding", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="OPTION=VALUE")
    parser.add_argument("--texts", type=int, default=48)
    args = parser.parse_args()
    texts = json.loads(PROMPTS.read_text(encoding="utf-8"))["main"]
    texts = texts[CALIBRATED : CALIBRATED + args.texts]
    source = convert("smollm2", cache_dir() / "bench")[0]
    lengths = [len(text["ids"]) - 1 for text in texts]
    dense, _ = scored(source, texts, "bfloat16")
    print(f"{len(dense)} tokens of {len(texts)} texts, bfloat16: {perplexity(dense):.3f}")
    for run in args.runs:
        options = dict(option.split("=", 1) for option in run.split(","))
        folder = Path(options.pop("model", source))
        found, _ = scored(folder, texts, "bfloat16", **options)
        more, error = lost(dense, found, lengths)
        print(f"{run}: {perplexity(found):.3f}, {more:+.2%} (+- {error:.2%})", flush=True)
    return 0


def lost(dense: Tensor, found: Tensor, lengths: list[int]) -> tuple[float, float]:
    """How much greater the perplexity is, and its standard error by texts."""
    less = torch.stack([part.sum() for part in (dense - found).split(lengths)])
    mean = float(less.sum()) / sum(lengths)
    apart = less - mean * torch.tensor(lengths, dtype=less.dtype)
    return math.expm1(mean), float(apart.square().sum().sqrt()) / sum(lengths)


if __name__ == "__main__":
    sys.exit(main())
