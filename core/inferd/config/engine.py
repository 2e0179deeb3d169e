"""EngineConfig: everything an engine is built from, and nothing that changes afterwards."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from inferd.config.base import Options
from inferd.config.cache import CacheOptions
from inferd.config.model import ModelOptions
from inferd.config.plugins import PluginOptions
from inferd.config.scheduler import SchedulerOptions
from inferd.errors import NotInThisVersion, UsageError

SECTIONS: dict[str, type[Options]] = {
    "model": ModelOptions,
    "cache": CacheOptions,
    "scheduler": SchedulerOptions,
    "plugins": PluginOptions,
}
LATER = {
    "tensor_parallel_size": "tensor parallelism",
    "pipeline_parallel_size": "pipeline parallelism",
    "data_parallel_size": "data parallelism",
    "speculative_config": "speculative decoding",
    "enable_lora": "LoRA",
}


class EngineConfig(Options):
    model: ModelOptions = ModelOptions()
    cache: CacheOptions = CacheOptions()
    scheduler: SchedulerOptions = SchedulerOptions()
    plugins: PluginOptions = PluginOptions()

    @classmethod
    def of(cls, model: str, **options: Any) -> EngineConfig:
        """Sort flat option names (vLLM's, where the meaning is the same) into their sections.

        Raises UsageError for an unknown name or a bad value, NotInThisVersion for planned features.
        """
        owners = {name: key for key, kind in SECTIONS.items() for name in kind.model_fields}
        sections: dict[str, dict[str, Any]] = {key: {} for key in SECTIONS}
        for name, value in {"model": model, **options}.items():
            if name in LATER:
                if value in (None, 1, False):
                    continue
                raise NotInThisVersion(f"{name} ({LATER[name]})")
            if name not in owners:
                near = difflib.get_close_matches(name, owners, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UsageError(
                    f"unknown option {name!r}{hint} known: {', '.join(sorted(owners))}"
                )
            sections[owners[name]][name] = value
        try:
            return cls.model_validate(sections)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"{first['loc'][-1]}: {first['msg']}, got {first['input']!r}"
            ) from None
