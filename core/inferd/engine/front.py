"""What a front end loads of a model: tokenizer, generation defaults, end-of-sequence ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inferd.loading.sources import resolve

if TYPE_CHECKING:
    from inferd.config.model import ModelOptions
    from inferd.loading.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Front:
    tokenizer: Tokenizer | None
    generation_config: dict[str, Any]
    eos_ids: list[int]


def load_front(options: ModelOptions) -> Front:
    """Raises UsageError for a wrong path, UnsupportedModel for an unusable tokenizer."""
    from inferd.loading.tokenizer import Tokenizer
    from inferd.loading.tokenizer_files import as_list, read_generation

    source = resolve(options.model, revision=options.revision)
    generation = read_generation(source)
    tokenizer = None
    if not options.skip_tokenizer_init:
        place = resolve(options.tokenizer) if options.tokenizer else source
        tokenizer = Tokenizer.load(place)
    eos_ids = as_list(generation.get("eos_token_id"))
    eos_ids += [i for i in (tokenizer.eos_ids if tokenizer else []) if i not in eos_ids]
    return Front(tokenizer, generation, eos_ids)
