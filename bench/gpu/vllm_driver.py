"""vLLM's offline LLM on token ids: PYTHON -m bench.gpu.vllm_driver ... (offline.arguments).

Its engine runs in a process of its own, as vLLM's default is.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.gpu.offline import Clock, arguments, run
from bench.gpu.workloads import Batch


class Vllm:
    """Whatever `--options` leaves open is vLLM's default."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        from vllm import LLM, __version__

        self.version = __version__
        clock.mark("import")
        self._llm: Any = LLM(str(args.model), disable_log_stats=True, **args.options)
        clock.mark("engine")

    def generate(self, batch: Batch) -> int:
        from vllm import SamplingParams

        fixed = {"temperature": 0.0, "ignore_eos": True, "detokenize": False, **batch.sampling}
        params = [SamplingParams(max_tokens=length, **fixed) for length in batch.lengths]
        prompts = [{"prompt_token_ids": ids} for ids in batch.prompts]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)


def main() -> None:
    args = arguments(prog="bench.gpu.vllm_driver")
    run(args, lambda clock: Vllm(args, clock))


if __name__ == "__main__":
    main()
