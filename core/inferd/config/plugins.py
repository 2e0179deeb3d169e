"""Which plugins, and the explicit choices among what they register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from inferd.config.base import Options
from inferd.errors import UsageError


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
    grammar_backend: Annotated[
        str | None, Field(description="of structured outputs; a request may name another")
    ] = None
    executor: Annotated[str, Field(description="a registered executor")] = "in_process"
    tool_call_parser: Annotated[
        str, Field(description="a registered parser, none, or auto: by the chat template")
    ] = "auto"
    reasoning_parser: Annotated[
        str, Field(description="a registered parser, none, or auto: by the chat template")
    ] = "auto"
    plugin_options: Annotated[
        dict[str, dict[str, Any]], Field(description="per plugin name, checked by its own model")
    ] = {}


def checked_options(plugin: str, model: type[Options], values: Mapping[str, Any]) -> Options:
    """`values` as the plugin's own model; raises UsageError, naming the option and the known ones.

    Values may be text, as flags and the environment give them.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([plugin, *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            problem = f"plugin {plugin!r} has no option {first['loc'][0]!r}"
        else:
            problem = f"{name}: {first['msg']}, got {first['input']!r}"
        known = ", ".join(f"{plugin}.{option}" for option in model.model_fields)
        raise UsageError(f"{problem}\n  known: {known or 'none'}") from None
