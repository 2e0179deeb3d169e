"""inferd's offline LLM on token ids: PYTHON -m bench.gpu.inferd_driver ... (offline.arguments)."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bench.gpu.offline import Clock, arguments, run
from bench.gpu.workloads import Batch


class Inferd:
    """The engine runs in this process, as inferd's default is."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        from inferd import LLM, __version__

        self.version = __version__
        self._llm: Any = LLM(str(args.model), **args.options)
        clock.mark("engine")
        print(self._llm.info, file=sys.stderr)

    def generate(self, batch: Batch) -> int:
        from inferd import SamplingParams

        fixed = {"temperature": 0.0, "ignore_eos": True, "detokenize": False, **batch.sampling}
        params = [SamplingParams(max_tokens=length, **fixed) for length in batch.lengths]
        outputs = self._llm.generate(batch.prompts, params, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)


def main() -> None:
    args = arguments(prog="bench.gpu.inferd_driver")
    run(args, lambda clock: Inferd(args, clock))


if __name__ == "__main__":
    main()
