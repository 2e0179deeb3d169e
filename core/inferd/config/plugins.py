"""Which plugins, and the explicit choices among what they register."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from inferd.config.base import Options


class PluginOptions(Options):
    plugins: Annotated[
        str, Field(description="words: all | none | NAME,... (defaults plus these) | no:NAME")
    ] = "all"
    platform: Annotated[str | None, Field(description="a registered platform: cpu, cuda")] = None
    attention_backend: Annotated[
        str | None, Field(description="a registered attention backend")
    ] = None
    quantization: Annotated[
        str | None, Field(description="a registered method; default: what the checkpoint says")
    ] = None
    executor: Annotated[str, Field(description="a registered executor")] = "in_process"
    plugin_options: Annotated[
        dict[str, dict[str, Any]], Field(description="per plugin name, checked by its own model")
    ] = {}
