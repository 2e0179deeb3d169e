"""inferd's offline LLM, bf16, its own defaults (prefix cache on, one step ahead).

PYTHON -m bench.peers.inferd_driver --model HF_FOLDER ...        (flags: measure.arguments)
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.measure import arguments, measure, report


class Inferd:
    """The tokenizer is loaded and the context is bounded, as in the peers."""

    def __init__(self, model: Path) -> None:
        from inferd import LLM

        self._llm: Any = LLM(str(model), dtype="bfloat16", max_model_len=2048)

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        from inferd import SamplingParams

        params = SamplingParams(
            temperature=0.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False
        )
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    def forget(self) -> None:
        self._llm.reset_prefix_cache()


def main() -> None:
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    report(measure(args, lambda: Inferd(args.model), engine="inferd", version=version("inferd")))


if __name__ == "__main__":
    main()
