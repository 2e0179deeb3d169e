"""The KV cache."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferd.config.base import Options


class CacheOptions(Options):
    block_size: Annotated[int, Field(ge=1, le=256, description="tokens per KV block")] = 16
    num_blocks: Annotated[int | None, Field(ge=2, description="KV blocks; overrides sizing")] = None
    kv_cache_memory_bytes: Annotated[
        int | None, Field(ge=1, description="bytes for the KV cache; overrides sizing")
    ] = None
    kv_cache_dtype: Annotated[
        Literal["auto", "fp8"], Field(description="of keys and values; auto: as the model's")
    ] = "auto"
    calculate_kv_scales: Annotated[
        bool, Field(description="for an FP8 cache, where the checkpoint has no scales")
    ] = True
    gpu_memory_utilization: Annotated[
        float, Field(gt=0, le=1, description="share of the memory that is free at start")
    ] = 0.9
    kv_events: Annotated[
        str | None,
        Field(description="ZMQ address that tells routers of changes of the prefix cache"),
    ] = None
    kv_events_topic: Annotated[str, Field(description="what their messages begin with")] = ""
    enable_prefix_caching: Annotated[bool, Field(description="reuse the KV of equal prefixes")] = (
        True
    )
