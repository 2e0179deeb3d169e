"""transformers as the oracle: a tiny random model of any architecture it knows.

Shape suffixes: R rows, T tokens, V vocabulary, L layers, H heads, K keys.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import Verdict, no
from inferd.loading.safetensors import SafetensorsLoader
from inferd.testing.tiny import draw

ROWS = 3
EAGER = "eager"
FEW_KEYS = 16  # with fewer to choose from, attention has no room for favourites


@dataclass(frozen=True, slots=True)
class Oracle:
    """What transformers makes of one configuration."""

    config: dict[str, Any]
    defaults: dict[str, Any]  # of the configuration's class
    tensors: tuple[RawTensor, ...]  # as `save_pretrained` names them
    ids_RT: Tensor
    logits_RTV: Tensor
    favourites: float  # the mean query's largest weight, in units of a uniform one
    fields_read: frozenset[str]  # of the configuration, by transformers' model

    @property
    def spread(self) -> float:
        return float(self.logits_RTV.std())


def ask(architecture: str, config: Mapping[str, Any], length: int, seed: int = 0) -> Oracle:
    """Made once per process for each configuration. Prompts have `length` tokens."""
    return _ask(architecture, json.dumps(config), length, seed)


@functools.cache
def _ask(architecture: str, text: str, length: int, seed: int) -> Oracle:
    config, fields_read = json.loads(text), set[str]()
    hf_config = _configuration(text)
    kind = type(hf_config)
    defaults = kind().to_dict()
    generator = torch.Generator().manual_seed(seed)
    ids_RT = torch.randint(config["vocab_size"], (ROWS, length), generator=generator)
    with torch.inference_mode():
        hf_config.__class__ = _spied(kind, defaults.keys() | config.keys(), fields_read)
        model = _drawn(architecture, hf_config, seed)
        logits_RTV, attentions = _answer(model, ids_RT)
        hf_config.__class__ = kind
    return Oracle(
        config=config,
        defaults=defaults,
        tensors=_saved(model),
        ids_RT=ids_RT,
        logits_RTV=logits_RTV,
        favourites=_favourites(torch.stack(attentions)),
        fields_read=frozenset(fields_read),
    )


def continued(
    architecture: str, config: Mapping[str, Any], ids_RT: Tensor, count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The `count` greedy tokens after `ids_RT`, and by how much each of them leads: [R, count]."""
    model = _drawn(architecture, _configuration(json.dumps(config)), seed)
    leads = []
    with torch.inference_mode():
        for _ in range(count):
            logits_RV = model(ids_RT, use_cache=False).logits[:, -1]
            best_R2, tokens_R2 = logits_RV.topk(2)
            leads.append(best_R2[:, 0] - best_R2[:, 1])
            ids_RT = torch.cat((ids_RT, tokens_R2[:, :1]), 1)
    return ids_RT[:, -count:], torch.stack(leads, 1)


def _configuration(text: str) -> Any:
    """Computed as `attn_implementation` says, where it stands there."""
    import transformers

    fields = json.loads(text)
    attention = fields.pop("attn_implementation", EAGER)
    kind = transformers.CONFIG_MAPPING[fields["model_type"]]
    return kind.from_dict(fields, attn_implementation=attention)


def _answer(model: Any, ids_RT: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits, and attention's weights, which are there with the eager one only."""
    if model.config._attn_implementation == EAGER:
        out = model(ids_RT, output_attentions=True, use_cache=False)
        return out.logits, out.attentions
    logits_RTV = model(ids_RT, use_cache=False).logits
    model.set_attn_implementation(EAGER)
    return logits_RTV, model(ids_RT, output_attentions=True, use_cache=False).attentions


def _drawn(architecture: str, hf_config: Any, seed: int) -> Any:
    """transformers' model with the weights of `tiny.draw`."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = getattr(transformers, architecture)(hf_config).float().eval()
        stored = model.state_dict(keep_vars=True)
        drawn = [
            *model.named_parameters(),
            *((n, b) for n, b in model.named_buffers() if n in stored),
        ]
        for name, tensor in drawn:
            tensor.copy_(draw(name, tuple(tensor.shape), seed))
    return model


def _spied(kind: type[Any], fields: Collection[str], seen: set[str]) -> type[Any]:
    """The configuration's class, noting which of its fields are read."""

    class Spied(kind):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            if name in fields:
                seen.add(name)
            return super().__getattribute__(name)

    return Spied


def _saved(model: Any) -> tuple[RawTensor, ...]:
    """The checkpoint that transformers would write, held in memory."""
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return tuple(
            RawTensor(t.name, t.shape, t.storage, t.data.clone())
            for t in SafetensorsLoader(Path(folder)).tensors()
        )


def _favourites(weights_LRHTK: Tensor) -> float:
    keys_LRHT = (weights_LRHTK > 0).sum(-1)
    peaks_LRHT = weights_LRHTK.amax(-1) * keys_LRHT
    return float(peaks_LRHT[keys_LRHT >= FEW_KEYS].mean())


class Held(WeightLoader):
    """A checkpoint that is in memory already."""

    name = "held"

    def __init__(self, tensors: Sequence[RawTensor]) -> None:
        self._tensors = tensors

    @classmethod
    def matches(cls, path: Path) -> Verdict:  # noqa: ARG003
        return no("made by tests")

    @property
    def config(self) -> dict[str, Any]:
        return {}

    @property
    def generation_config(self) -> dict[str, Any]:
        return {}

    @property
    def num_bytes(self) -> int:
        return sum(tensor.data.nbytes for tensor in self._tensors)

    def tensors(self) -> Iterator[RawTensor]:
        return iter(self._tensors)
