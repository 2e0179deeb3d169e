"""transformers' class and configuration for what config.json says."""

from __future__ import annotations

from typing import Any

import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from inferd.errors import UnsupportedModel

ATTENTION = {"attention", "full_attention", "sliding_attention"}  # kinds of layers
CHANGING_ROPES = ("dynamic", "longrope")  # their frequencies depend on the longest row of a batch


def find_class(name: str, hf: dict[str, Any]) -> tuple[type[Any], Any]:
    """Raises UnsupportedModel for what is no causal model of transformers or keeps other state."""
    hf.pop("quantization_config", None)  # not transformers' to handle here
    if name not in _causal_names():
        raise UnsupportedModel(
            f"transformers {transformers.__version__} has no causal language model {name!r}"
        )
    kind = getattr(transformers, name)
    model_type = hf.get("model_type")
    if model_type not in transformers.CONFIG_MAPPING:
        raise UnsupportedModel(f"config.json: transformers knows no model_type {model_type!r}")
    config_kind = transformers.CONFIG_MAPPING[model_type]
    if not issubclass(config_kind, kind.config_class):
        raise UnsupportedModel(f"{name} takes more than text, model_type {model_type!r} is a part")
    try:
        hf_config = config_kind.from_dict(hf)
    except Exception as error:  # whatever transformers' checks raise
        raise UnsupportedModel(f"transformers does not take this config.json: {error}") from None
    _refuse(name, hf_config, getattr(kind, "_is_stateful", False))
    return kind, hf_config


def _causal_names() -> set[str]:
    found = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    return {name for entry in found for name in ((entry,) if isinstance(entry, str) else entry)}


def _refuse(name: str, hf_config: Any, may_keep_state: bool) -> None:
    layers = set(getattr(hf_config, "layer_types", None) or ["unknown"])
    if may_keep_state and not layers <= ATTENTION:
        raise UnsupportedModel(
            f"{name} keeps a recurrent state, which the KV cache has no place for"
        )
    if getattr(hf_config, "is_encoder_decoder", False):
        raise UnsupportedModel(f"{name} is configured as an encoder-decoder (is_encoder_decoder)")
    rope = getattr(hf_config, "rope_parameters", None) or {}
    kinds = {
        rope.get("rope_type"),
        *(r.get("rope_type") for r in rope.values() if isinstance(r, dict)),
    }
    if changing := kinds & set(CHANGING_ROPES):
        raise UnsupportedModel(
            f"rope_type {changing.pop()!r} rotates by the longest row of a batch in transformers"
        )
