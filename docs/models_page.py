"""docs/reference/models.md: every architecture, what its attention has, and when it was compared.

What is known of an architecture comes from the configurations that its tests use, and from
`parity.json`, which docs/parity.py writes.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from models_named import EXAMPLES

from inferd.contracts.attention import AttentionRequest
from inferd.contracts.model import ANY, CausalLM, ModelConfig
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.testing import ModelContract
from inferd.testing.model_variants import NULL
from inferd.testing.tiny import BASE

PLUGINS = Path(__file__).parents[1] / "plugins"
PARITY = Path(__file__).parent / "reference" / "parity.json"
FALLBACK = "models_transformers"
PUBLISHED = {  # compared by `make parity` and bench/parity_gguf.py
    "LlamaForCausalLM": "SmolLM2 135M",
    "Gemma3ForCausalLM": "Gemma 3 270M",
}
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
HEAD = ("architecture", "for example", "plugin", "attention", "MLP", "published", "parity")

Variants = dict[str, list[dict[str, Any]]]  # by architecture, the config.json of each variant


def models_page() -> str:
    """Of the plugins of this repository; `make install` installs them all."""
    dates = json.loads(PARITY.read_text(encoding="utf-8"))["dates"]
    models = Host(Selection.parse("all")).catalog.models
    native = native_variants()
    rows = []
    for entry in models:
        folder = entry.target.partition(".")[0].removeprefix("inferd_")
        if not folder.startswith("models_") or entry.name not in native:
            continue
        kept = features(models.load(entry.name), entry.name, native[entry.name])
        rows.append(_row(entry.name, entry.summary, folder, kept, mlps(native[entry.name]), dates))
    for name, variants in sorted(other_variants().items()):
        kept = features(models.load(ANY), name, variants)
        rows.append(_row(name, EXAMPLES[name], FALLBACK, kept, mlps(variants), dates))
    return "\n".join([*_introduction(), _line(HEAD), _line(["---"] * len(HEAD)), *rows]) + "\n"


def _introduction() -> list[str]:
    return [
        "# Models",
        "",
        "Checkpoints say in `architectures` of their config.json which of these they are. A",
        "plugin's page says what it reads of a configuration, what it refuses and what differs.",
        "Its tests hold every architecture to transformers in float32 on tiny random",
        "checkpoints: the logits of whole, chunked, single-token and mixed steps, and of steps",
        "after a cached prefix, to 1e-4 of their standard deviation, greedy tokens through the",
        "engine before and after a hit of the prefix cache. `parity` has the day on which",
        "`python docs/parity.py` last found the logits to agree, `published` the published",
        "checkpoints whose greedy tokens are compared. `inferd plugins why attention MODEL` says",
        "which attention a checkpoint would run with here.",
        "",
        "`attention` says what layers may ask of it and what they keep: everything (full), a",
        "window of tokens, or a latent. The linears of all of them can be quantized, those of",
        "experts by the methods that [say so](quantization.md).",
        "",
        "Of multimodal checkpoints the text part is served, where `text_config` has a model_type",
        "that is listed in `core/inferd/loading/text_part.py` or names an architecture: Gemma 3 4B",
        "to 27B, Mistral Small 3.1 and 3.2, and such. Tensors of other parts are not loaded.",
        "",
        f"What [{FALLBACK}](../../plugins/{FALLBACK}/README.md) runs has no code of its own here;",
        "those that are named are the ones compared, without a published checkpoint; others",
        "are taken too.",
        "",
    ]


def _row(
    name: str, example: str, folder: str, attention: str, mlp: str, dates: Mapping[str, str]
) -> str:
    plugin = f"[{folder}](../../plugins/{folder}/README.md)"
    compared = PUBLISHED.get(name, "none")
    return _line([f"`{name}`", example, plugin, attention, mlp, compared, dates[name]])


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def mlps(variants: list[dict[str, Any]]) -> str:
    return "experts" if any(any(map(hf.get, EXPERTS)) for hf in variants) else "dense"


def features(kind: type[CausalLM], architecture: str, variants: list[dict[str, Any]]) -> str:
    """What attention any of the variants asks for."""
    found: dict[str, None] = {}
    for hf in variants:
        config = ModelConfig(architecture, hf, torch.float32, 96, hf["vocab_size"])
        found |= dict.fromkeys(_words(kind.attention_request(config, "cpu", 16)))
    return ", ".join(found)


def _words(request: AttentionRequest) -> Iterator[str]:
    yield "full" if request.value_dim is None else "latent"
    for word, asked in (
        ("window", request.window),
        ("soft cap", request.soft_cap),
        ("ALiBi", request.alibi),
        ("sinks", request.sinks),
    ):
        if asked:
            yield word


def contracts() -> dict[str, type[ModelContract]]:
    """The contract tests of the plugins, by architecture."""
    paths = sorted(PLUGINS.glob("models_*/tests/test_contract.py"))
    found = [value for path in paths for value in vars(module_at(path)).values()]
    return {each.architecture: each for each in found if _is_contract(each)}


def native_variants() -> Variants:
    return {
        architecture: [variant_config(contract, name) for name in contract.variants]
        for architecture, contract in contracts().items()
    }


def other_variants() -> Variants:
    """From the table of the plugin for any architecture."""
    configs = module_at(PLUGINS / FALLBACK / "tests" / "architectures.py").CONFIGS
    return {
        name: [_present({**BASE, **config, "architectures": [name]})]
        for name, config in configs.items()
    }


def variant_config(contract: type[ModelContract], variant: str) -> dict[str, Any]:
    merged = {**BASE, **contract.config, **contract.variants[variant]}
    return _present(merged | {"architectures": [contract.architecture]})


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if v is NULL else v for k, v in fields.items() if v is not None}


def _is_contract(value: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, ModelContract)
        and hasattr(value, "architecture")
    )


def module_at(path: Path) -> ModuleType:
    name = f"{path.parts[-3]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
