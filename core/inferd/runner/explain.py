"""What each candidate says about a model: the text of `inferd plugins why KIND MODEL`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from inferd.config.engine import EngineConfig
from inferd.contracts.attention import supports
from inferd.contracts.loader import WeightLoader
from inferd.contracts.model import ANY, ModelConfig
from inferd.contracts.output_parser import ChatFormat
from inferd.contracts.platform import Platform
from inferd.contracts.verdict import YES, no
from inferd.errors import UsageError
from inferd.host.explain import Candidate, candidates
from inferd.host.host import Host
from inferd.loading.checkpoint import open_checkpoint, resolve_model_config
from inferd.loading.sources import resolve
from inferd.loading.tokenizer import Tokenizer
from inferd.runner.choices import (
    attention_request,
    choose_platform,
    op_request,
    quantization_of,
    verdict_of_any,
)

Found = list[Candidate[Any]]


def candidates_for(host: Host, kind: str, model: str) -> Found:
    """Every implementation of a kind, best first, with its answer for `model` under the defaults.

    Raises UsageError for a kind of which all are used or that is chosen by name alone, and what
    reading the model raises: UsageError, UnsupportedModel, CheckpointError.
    """
    if kind not in ANSWERS:
        raise UsageError(f"nothing is chosen among {kind}; kinds: {', '.join(ANSWERS)}")
    return ANSWERS[kind](_Subject(host, EngineConfig.of(model)))


class _Subject:
    """What is asked about. A model is opened only where the question needs it."""

    def __init__(self, host: Host, config: EngineConfig) -> None:
        self.catalog = host.catalog
        self.config = config
        self.host = host

    @cached_property
    def platform(self) -> Platform:
        return choose_platform(self.config, self.host)

    @cached_property
    def path(self) -> Path:
        return resolve(self.config.model.model, revision=self.config.model.revision)

    @cached_property
    def loader(self) -> WeightLoader:
        return open_checkpoint(self.path, self.catalog.loaders, self.config.model.load_format)

    @cached_property
    def model(self) -> ModelConfig:
        return resolve_model_config(self.loader, self.config.model, self.platform.preferred_dtype)

    @cached_property
    def chat(self) -> ChatFormat:
        return Tokenizer.load(self.path).chat_format

    def named(self, kind: str, wanted: str, because: str) -> Found:
        """The entry called `wanted` says yes, others say no, `because` something names it."""
        return [
            Candidate(entry, YES if entry.name == wanted else no(because), None)
            for entry in self.catalog.registry(kind)
        ]


def _platforms(subject: _Subject) -> Found:
    return candidates(subject.catalog.platforms, lambda kind: kind.detect())


def _loaders(subject: _Subject) -> Found:
    return candidates(subject.catalog.loaders, lambda kind: kind.matches(subject.path))


def _models(subject: _Subject) -> Found:
    architecture = subject.model.architecture
    named = subject.named("models", architecture, f"the checkpoint is a {architecture}")
    return [
        Candidate(c.entry, verdict_of_any(subject.host, subject.model), None)
        if c.entry.name == ANY
        else c
        for c in named
    ]


def _ops(subject: _Subject) -> Found:
    platform = subject.platform
    request = op_request(platform, subject.model, subject.config.cache)
    return candidates(subject.catalog.ops, lambda kind: kind.supports(request))


def _attention(subject: _Subject) -> Found:
    request = attention_request(
        subject.host, subject.platform.name, subject.model, subject.config.cache
    )
    return candidates(subject.catalog.attention, lambda kind: supports(kind, request))


def _quantization(subject: _Subject) -> Found:
    name, stored = quantization_of(subject.config, subject.model.hf)
    asked = candidates(
        subject.catalog.quantization, lambda kind: kind.supports(subject.platform.name, stored)
    )
    other = no(f"the checkpoint's weights are {name}")
    return [c if c.entry.name == name else Candidate(c.entry, other, None) for c in asked]


def _executors(subject: _Subject) -> Found:
    return subject.named("executors", subject.config.plugins.executor, "chosen by name: --executor")


def _policies(subject: _Subject) -> Found:
    return subject.named(
        "schedule_policies",
        subject.config.scheduler.scheduling_policy,
        "chosen by name: --scheduling-policy",
    )


def _tool_parsers(subject: _Subject) -> Found:
    return candidates(subject.catalog.tool_parsers, lambda kind: kind.supports(subject.chat))


def _reasoning_parsers(subject: _Subject) -> Found:
    return candidates(subject.catalog.reasoning_parsers, lambda kind: kind.supports(subject.chat))


ANSWERS: dict[str, Callable[[_Subject], Found]] = {
    "platforms": _platforms,
    "loaders": _loaders,
    "models": _models,
    "quantization": _quantization,
    "ops": _ops,
    "attention": _attention,
    "executors": _executors,
    "schedule_policies": _policies,
    "tool_parsers": _tool_parsers,
    "reasoning_parsers": _reasoning_parsers,
}
