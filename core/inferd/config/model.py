"""Which model, and how it is loaded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferd.config.base import Options


class ModelOptions(Options):
    model: Annotated[str, Field(description="a directory, a .gguf file, a hub id or an alias")] = (
        "smollm2"
    )
    tokenizer: Annotated[str | None, Field(description="another source for the tokenizer")] = None
    revision: Annotated[str | None, Field(description="branch, tag or commit on the hub")] = None
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(description="of weights and activations; auto: what the platform runs fastest"),
    ] = "auto"
    max_model_len: Annotated[
        int | None, Field(ge=1, description="context length; default: what the model was made for")
    ] = None
    load_format: Annotated[
        str, Field(description="a registered loader, or auto; dummy draws random weights")
    ] = "auto"
    enforce_eager: Annotated[
        bool, Field(description="launch steps op by op, even where they could be recorded")
    ] = False
    skip_tokenizer_init: Annotated[
        bool, Field(description="token ids in, token ids out; no tokenizer is loaded")
    ] = False
    seed: Annotated[
        int, Field(description="for requests that bring none, and for dummy weights")
    ] = 0
