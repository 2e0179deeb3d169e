"""Scales of keys and values in a cache of 8 bits, where the checkpoint has none.

Random tokens run once over a cache in the model's dtype, and what lies in it says how large the
keys and values of each head are: before any step is recorded, and the same at every start.

Shape suffixes: T tokens, R rows, B blocks, S slots per block, G KV heads, E head size.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inferd.contracts.model import CausalLM, ModelConfig
from inferd.layers.attention import Attention
from inferd.memory.kv_groups import KVGroups
from inferd.runner.choices import Choices
from inferd.types import Batch

TOKENS = 512
SPARE = 2  # how much larger others may be: a power of two takes no digits from a float
TINY = 1e-12


def calculate_kv_scales(
    model: CausalLM, config: ModelConfig, choices: Choices, block_size: int
) -> None:
    """Of all layers that have a cache of 8 bits and no scales yet."""
    layers = [module for module in model.modules() if isinstance(module, Attention)]
    if not any(layer.unscaled for layer in layers):
        return
    attention, device = choices.attention, choices.platform.device
    specs = [replace(spec, dtype=config.dtype) for spec in model.kv_specs()]
    groups = KVGroups.of(specs, attention.strided_blocks)
    ids_T = _tokens(config).to(device)
    batch = _batch(ids_T, len(groups.specs), block_size)
    batch.attention = [
        attention.plan(batch, group, spec, block_size) for group, spec in enumerate(groups.specs)
    ]
    caches = groups.allocate(attention, batch.num_blocks, block_size, device)
    model(batch, caches)
    for layer, cache, group in zip(layers, caches, groups.group_of, strict=True):
        if layer.unscaled:
            most = torch.finfo(layer.spec.dtype).max
            blocks = batch.block_tables_RB[group][0].long()
            layer.set_scales(*(_scale(values[blocks], most) for values in cache))


def _tokens(config: ModelConfig) -> Tensor:
    count = min(TOKENS, config.max_model_len)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.vocab_size, (count,), generator=generator)


def _scale(values_BSGE: Tensor, most: float) -> Tensor:
    """[G], float32."""
    largest_G = values_BSGE.abs().amax((0, 1, 3)).float()
    scale_G = SPARE * largest_G.clamp_min(TINY) / most
    return torch.where(scale_G.isfinite(), scale_G, 1.0)


def _batch(ids_T: Tensor, num_groups: int, block_size: int) -> Batch:
    """One row, in blocks of its own for each group."""
    device, tokens = ids_T.device, len(ids_T)
    pages = -(-tokens // block_size)
    count_R = torch.tensor([tokens], dtype=torch.int32, device=device)
    starts_R1 = torch.tensor([0, tokens], dtype=torch.int32, device=device)
    places_T = torch.arange(tokens, device=device)
    firsts = [1 + group * pages for group in range(num_groups)]
    return Batch(
        num_tokens=tokens,
        num_rows=1,
        num_decodes=0,
        num_blocks=1 + num_groups * pages,
        query_lens=[tokens],
        context_lens=[tokens],
        rows_R=torch.zeros(1, dtype=torch.int64, device=device),
        ids_T=ids_T,
        positions_T=places_T,
        query_starts_R1=starts_R1,
        contexts_R=count_R,
        slots_T=[places_T + first * block_size for first in firsts],
        block_tables_RB=[
            torch.arange(first, first + pages, dtype=torch.int32, device=device)[None]
            for first in firsts
        ],
        logits_N=count_R.long() - 1,
    )
