"""The language model of a multimodal checkpoint: its part of config.json, and its tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.loader import RawTensor, WeightLoader

SHARED = (  # what may stand outside of the part
    "architectures",
    "dtype",
    "torch_dtype",
    "quantization_config",
    "compression_config",
    "tie_word_embeddings",
)
ARCHITECTURES = {  # of the parts that models of text are, too, by their model_type
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma3n_text": "Gemma3nForCausalLM",
    "gemma4_text": "Gemma4ForCausalLM",
    "gemma4_unified_text": "Gemma4UnifiedForCausalLM",
    "llama": "LlamaForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
UNSAID = {  # by published files, which leave it to transformers
    "gemma3_text": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
    }
}
PART, HEAD = "language_model", "lm_head"  # components of tensors' names


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a multimodal configuration, with what stands outside of it; others as they are.

    Where the part names no architecture it is that of its model_type, if that is known.
    """
    inner = config.get("text_config")
    if not isinstance(inner, Mapping):
        return dict(config)
    shared = {key: config[key] for key in SHARED if config.get(key) is not None}
    kind = str(inner.get("model_type"))
    if kind in ARCHITECTURES:
        shared["architectures"] = [ARCHITECTURES[kind]]
    return shared | UNSAID.get(kind, {}) | dict(inner)


def text_names(names: Collection[str]) -> list[str]:
    """Of its tensors, as a checkpoint of text alone has them."""
    parted = any(PART in name.split(".") for name in names)
    found = (_text_name(name, parted) for name in names)
    return [name for name in found if name is not None]


def text_tensors(loader: WeightLoader) -> Iterator[RawTensor]:
    """As `text_names`; other parts' tensors are not read."""
    parted = any(PART in name.split(".") for name in loader.names() or ())
    for tensor in loader.tensors():
        name = _text_name(tensor.name, parted)
        if name is not None:
            yield tensor if name == tensor.name else replace(tensor, name=name)


def _text_name(name: str, parted: bool) -> str | None:
    """None where it is another part's: `model.language_model.norm` is `model.norm`, and so is
    `language_model.model.norm`."""
    words = name.split(".")
    if not parted or words[0] == HEAD:
        return name
    return ".".join(word for word in words if word != PART) if PART in words else None
