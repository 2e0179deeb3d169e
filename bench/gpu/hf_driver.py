"""transformers on W1, in static batches of 128: PYTHON -m bench.gpu.hf_driver ... --sections w1

Its best way to run a batch whose requests all have one length; measured on one such batch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.gpu.offline import Clock, Figures, arguments, run
from bench.gpu.workloads import Batch

STATIC_BATCH = 128


class Transformers:
    """Random weights, bf16, SDPA, no end-of-text."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        import torch
        from transformers import AutoModelForCausalLM, __version__

        self.version = __version__
        clock.mark("import")
        self._torch: Any = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        with torch.device(self._device):
            self._model: Any = AutoModelForCausalLM.from_config(
                read_config(args.model), dtype=torch.bfloat16, attn_implementation="sdpa"
            ).eval()
        self._model.generation_config.eos_token_id = None
        clock.mark("engine")

    def generate(self, batch: Batch) -> int:
        """All prompts have one length, and so have all answers."""
        torch, length = self._torch, batch.lengths[0]
        prompt_BT = torch.tensor(batch.prompts, device=self._device)
        with torch.inference_mode():
            done = self._model.generate(
                prompt_BT,
                attention_mask=torch.ones_like(prompt_BT),
                do_sample=False,
                max_new_tokens=length,
                min_new_tokens=length,
                pad_token_id=0,
            )
        return int((done.shape[1] - prompt_BT.shape[1]) * done.shape[0])


def read_config(folder: Path) -> Any:
    from transformers import LlamaConfig

    content: Figures = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return LlamaConfig(**content)


def main() -> None:
    args = arguments(prog="bench.gpu.hf_driver")
    args.requests *= STATIC_BATCH / 512  # of W1's requests
    run(args, lambda clock: Transformers(args, clock))


if __name__ == "__main__":
    main()
