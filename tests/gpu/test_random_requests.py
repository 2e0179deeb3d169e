"""10,000 random requests with aborts break no invariant; greedy ones get the tokens of alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hardware import PLATFORM
from random_requests import LIMITS, SETTINGS, Traffic, check_alone

from inferd import LLM

pytestmark = pytest.mark.gpu

NUM_REQUESTS = 10_000
CROWD = {"max_num_seqs": 64, "num_blocks": 260}


@pytest.mark.parametrize(("seed", "options"), [*enumerate(SETTINGS)], ids=str)
def test_nothing_is_lost(checkpoint: Path, seed: int, options: dict[str, Any]) -> None:
    with LLM(str(checkpoint), **{**LIMITS, **CROWD, **options}) as llm:
        assert llm.info.summary["platform"] == PLATFORM
        traffic = Traffic(llm, seed)
        traffic.run(NUM_REQUESTS // len(SETTINGS))
    plain = {"dtype": "float32", "max_num_seqs": 1, "num_blocks": 64, "enforce_eager": True}
    with LLM(str(checkpoint), enable_prefix_caching=False, **plain) as alone:
        for name, index in random.Random(1).sample(traffic.greedy(), 100):
            check_alone(alone, traffic.requests[name], traffic.tokens[name, index])
