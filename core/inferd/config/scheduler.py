"""How steps are put together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inferd.config.base import Options


class SchedulerOptions(Options):
    max_num_seqs: Annotated[
        int, Field(ge=1, le=65536, description="sequences that run at once; 1024 on a GPU")
    ] = 256
    max_num_batched_tokens: Annotated[
        int, Field(ge=1, description="tokens one step computes; 8192 on a GPU")
    ] = 2048
    short_step_tokens: Annotated[
        int,
        Field(
            ge=0,
            description="tokens of prompts that one step computes while few wait, beside those "
            "that run; 0: as many as there is room for; 352 on a CPU",
        ),
    ] = 0
    enable_chunked_prefill: Annotated[
        bool, Field(description="split prompts to fill steps; off: only those longer than a step")
    ] = True
    scheduling_policy: Annotated[str, Field(description="a registered policy: fcfs, priority")] = (
        "fcfs"
    )
    async_scheduling: Annotated[
        bool, Field(description="run one step ahead of the results; off: the synchronous loop")
    ] = True
    max_num_queued_reqs: Annotated[
        int, Field(ge=1, description="requests that may wait; more are refused with 429")
    ] = 1024
