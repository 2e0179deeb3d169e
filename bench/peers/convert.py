"""Write what the peers load, all from one GGUF's dequantized weights.

    python -m bench.peers.convert MODEL.gguf --hf FOLDER [--dtype bfloat16] --gguf FILE.gguf

--hf writes a Hugging Face directory (transformers, vLLM), --gguf a BF16 GGUF (llama.cpp).
Run it from the root of the repository in inferd's own environment.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from bench.peers.bf16_gguf import write_bf16_gguf
from bench.peers.gguf_source import Source
from bench.peers.hf_directory import write_hf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("--hf", type=Path, metavar="FOLDER")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--gguf", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.hf is None and args.gguf is None:
        parser.error("nothing to write: give --hf FOLDER, --gguf FILE or both")
    source = Source.open(args.source)
    if args.hf is not None:
        write_hf(source, args.hf, getattr(torch, args.dtype))
    if args.gguf is not None:
        write_bf16_gguf(source, args.gguf)


if __name__ == "__main__":
    main()
