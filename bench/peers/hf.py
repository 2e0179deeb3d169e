"""transformers in bf16: `generate` for one stream, continuous batching for the 64 requests.

PYTHON -m bench.peers.hf --model HF_FOLDER ...        (flags: measure.arguments)
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.measure import arguments, measure, report

PAGE_TOKENS, NUM_PAGES, STEP_TOKENS = 256, 256, 512  # sized by hand: it cannot size itself on a CPU


class Transformers:
    """A prompt alone goes through generate, several through generate_batch."""

    def __init__(self, model: Path, threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
        self._model.generation_config.eos_token_id = None

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        if len(prompts) == 1:
            return [self._alone(prompts[0], num_tokens)]
        return self._together(prompts, num_tokens)

    def _alone(self, ids: list[int], num_tokens: int) -> list[int]:
        import torch

        prompt_1T = torch.tensor([ids])
        with torch.inference_mode():
            done_1T = self._model.generate(
                prompt_1T,
                attention_mask=torch.ones_like(prompt_1T),
                do_sample=False,
                max_new_tokens=num_tokens,
            )
        found: list[int] = done_1T[0, len(ids) :].tolist()
        return found

    def _together(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        """Not in inference_mode: a thread of transformers' own writes to what is made here."""
        from transformers import GenerationConfig
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        done = self._model.generate_batch(
            prompts,
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=num_tokens, eos_token_id=-1, pad_token_id=0
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE_TOKENS, num_blocks=NUM_PAGES, max_batch_tokens=STEP_TOKENS
            ),
        )
        return [list(output.generated_tokens) for output in done.values()]

    def forget(self) -> None:
        """generate_batch makes its cache anew at each call."""


def main() -> None:
    args = arguments()
    figures = measure(
        args,
        lambda: Transformers(args.model, args.threads),
        engine="transformers",
        version=version("transformers"),
        can=("single", "batch"),
    )
    report(figures)


if __name__ == "__main__":
    main()
