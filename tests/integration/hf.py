"""transformers on the same tiny checkpoints, in fp32."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers


@cache
def load(path: Path) -> Any:
    """Never stops by itself."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    return model.eval()


@torch.inference_mode()
def greedy(path: Path, ids: list[int], num_tokens: int) -> list[int]:
    prompt = torch.tensor([ids])
    model = load(path)
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": num_tokens}
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
    return out[0, len(ids) :].tolist()


@torch.inference_mode()
def logits(path: Path, ids: list[int]) -> torch.Tensor:
    """After each of `ids`: [len(ids), vocabulary]."""
    return load(path)(torch.tensor([ids])).logits[0]


def logprobs(path: Path, ids: list[int]) -> torch.Tensor:
    return logits(path, ids).log_softmax(dim=-1)
