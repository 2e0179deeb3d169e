"""llama.cpp through llama-cpp-python: one stream by the binding, many by `llama_batch`.

PYTHON -m bench.peers.llama --model MODEL-bf16.gguf ...        (flags: measure.arguments)
"""

from __future__ import annotations

import itertools
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.llama_batch import LlamaBatches
from bench.peers.measure import arguments, measure, report

LENGTH = 768  # tokens of a sequence of a batch, with its answer


class LlamaCpp:
    def __init__(self, model: Path, threads: int, sequences: int = 1) -> None:
        from llama_cpp import Llama

        self._llama: Any = Llama(
            str(model),
            n_ctx=2048,
            n_batch=512,
            n_ubatch=512,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        self._batches = None
        if sequences > 1:
            self._batches = LlamaBatches(self._llama.model, threads, sequences, LENGTH)

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        if self._batches is not None and len(prompts) > 1:
            return self._batches.generate(prompts, num_tokens)
        return [self._one(ids, num_tokens) for ids in prompts]

    def _one(self, ids: list[int], num_tokens: int) -> list[int]:
        self._llama.reset()  # else generate() reuses the common prefix
        stream = self._llama.generate(ids, temp=0.0, repeat_penalty=1.0)
        return list(itertools.islice(stream, num_tokens))

    def forget(self) -> None:
        self._llama.reset()


def main() -> None:
    args = arguments()
    batches = "batch" in args.parts
    figures = measure(
        args,
        lambda: LlamaCpp(args.model, args.threads, args.requests if batches else 1),
        engine="llama.cpp",
        version=version("llama-cpp-python"),
        can=("single", "batch"),
    )
    report(figures)


if __name__ == "__main__":
    main()
