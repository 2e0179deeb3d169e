"""What the scripted executor emits, and how fast."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inferd.config.base import Options


class ScriptOptions(Options):
    script: Annotated[
        str | None,
        Field(description="JSON file: a list of lists of token ids; default: 0 to 255, in turn"),
    ] = None
    tokens_per_second: Annotated[
        float, Field(ge=0, description="of each sequence; 0: as fast as steps are made")
    ] = 0.0
    vocab_size: Annotated[
        int, Field(ge=1, le=1 << 24, description="ids of prompts and scripts are below it")
    ] = 1 << 18
