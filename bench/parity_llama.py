"""Along llama.cpp's own greedy answers, how often is our best token llama.cpp's? On one GGUF file.

    python -m bench.parity_llama --llama PYTHON [--model smollm2] [--prompts 32] [--tokens 64]

PYTHON is the interpreter of an environment with llama-cpp-python. Exits with 1 below 95 %, not 100:
llama.cpp rounds activations to 8 bits. Run it from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from inferd import LLM, SamplingParams
from inferd.loading.sources import resolve

ROOT = Path(__file__).parents[1]
PROMPTS = ROOT / "bench" / "data" / "cpu_prompts.json"
LEAST = 0.95


def main() -> int:
    args = arguments()
    path = resolve(args.model)
    prompts = [p["ids"] for p in json.loads(PROMPTS.read_text())["main"][: args.prompts]]
    answers = llama_tokens(args.llama, path, prompts, args.tokens)
    for name, agreed in best_tokens(path, prompts, answers).items():
        share = sum(agreed) / len(agreed)
        print(f"{name}: {sum(agreed)} of {len(agreed)} positions agree, {share:.2%}")
        if share < LEAST:
            return 1
    return 0


def llama_tokens(python: str, path: Path, prompts: list[list[int]], count: int) -> list[list[int]]:
    threads = len(os.sched_getaffinity(0))
    job = {"model": str(path), "prompts": prompts, "tokens": count, "threads": threads}
    command = [python, "-m", "bench.peers.llama_tokens"]
    done = subprocess.run(
        command, input=json.dumps(job), cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE
    )
    answers: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def best_tokens(
    path: Path, prompts: list[list[int]], answers: list[list[int]]
) -> dict[str, list[bool]]:
    """By dtype, of each position of an answer, whether its token is our best one there."""
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=1)
    asked = [{"prompt_token_ids": a + b} for a, b in zip(prompts, answers, strict=True)]
    agreed: dict[str, list[bool]] = {}
    for dtype in ("bfloat16", "float32"):
        with LLM(str(path), dtype=dtype, max_model_len=1024) as llm:
            outputs = llm.generate(asked, params)
        agreed[dtype] = [
            scored[token].rank == 1
            for output, answer in zip(outputs, answers, strict=True)
            for token, scored in zip(answer, output.prompt_logprobs[-len(answer) :], strict=True)
        ]
    return agreed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.parity_llama", description=__doc__)
    parser.add_argument("--llama", metavar="PYTHON", required=True)
    parser.add_argument("--model", default="smollm2", help="a GGUF or its alias")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
