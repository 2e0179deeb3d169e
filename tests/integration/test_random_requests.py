"""Random requests with aborts break no invariant; greedy ones get the tokens they get alone.

tests/gpu/test_random_requests.py has many more.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from random_requests import LIMITS, SETTINGS, Traffic, check_alone


@pytest.mark.parametrize(("seed", "options"), [*enumerate(SETTINGS)], ids=str)
def test_nothing_is_lost(make_llm: Any, seed: int, options: dict[str, Any]) -> None:
    traffic = Traffic(make_llm(**LIMITS, **options), seed)
    traffic.run(150)
    alone = make_llm(max_num_seqs=1, enable_prefix_caching=False)
    for name, index in random.Random(1).sample(traffic.greedy(), 20):
        check_alone(alone, traffic.requests[name], traffic.tokens[name, index])
