"""Options of `inferd serve` besides the engine's: flags, INFERD_SERVE__<NAME>, or [serve]."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from inferd.config.base import SEVERAL, Options


class ServeOptions(Options):
    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0: any free one")] = 8000
    front_ends: Annotated[
        int | None,
        Field(
            ge=1, le=64, description="processes that answer; default: one per 8 cores, at most 4"
        ),
    ] = None
    api_key: Annotated[
        list[SecretStr], Field(description="repeatable; those of INFERD_API_KEY count too")
    ] = []
    api_key_file: Annotated[Path | None, Field(description="one key a line, then its limits")] = (
        None
    )
    key_concurrency: Annotated[
        int | None, Field(ge=1, description="requests that one key may have at once")
    ] = None
    key_requests_per_minute: Annotated[
        int | None, Field(ge=1, description="requests that one key may send in a minute")
    ] = None
    allowed_host: Annotated[
        list[str],
        Field(
            description="repeatable: a name that Host may have; *: any. Without it: localhost, "
            "where the address is this machine's own and there is no key, else any"
        ),
    ] = []
    allow_client_chat_templates: Annotated[
        bool, Field(description="chat requests may bring a chat_template of their own")
    ] = False
    log_format: Annotated[Literal["text", "json"], Field(description="of standard error")] = "text"
    access_log: Annotated[
        bool, Field(description="a line per request, without prompt and answer")
    ] = False
    metrics_alias: Annotated[
        Literal["vllm"] | None, Field(description="every series by vLLM's name too")
    ] = None
    otlp_traces_endpoint: Annotated[
        str | None,
        Field(
            pattern="^https?://",
            description="a span per request goes there (OTLP over HTTP); needs inferd[otel]",
        ),
    ] = None
    served_model_name: Annotated[
        list[str], SEVERAL, Field(description="default: short name, full id")
    ] = []
    drain_timeout: Annotated[
        float,
        Field(ge=0, le=3600, description="seconds that running requests get after SIGTERM"),
    ] = 25.0
