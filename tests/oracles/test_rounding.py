"""Weights and keys that are rounded while a dense model is loaded and run."""

from __future__ import annotations

import pytest
from bench.scoring import perplexity, scored

pytestmark = pytest.mark.oracles
MOST = 0.01  # of the perplexity; what more texts say is in docs/reference/quantization.md
CASES = ({"quantization": "fp8"}, {"quantization": "int8"}, {"kv_cache_dtype": "fp8"})


@pytest.fixture(scope="module")
def texts(prompts):
    return prompts[32:40]


@pytest.fixture(scope="module")
def dense(source, texts):
    return perplexity(scored(source, texts, "bfloat16")[0])


@pytest.mark.parametrize("options", CASES, ids=str)
def test_rounding_costs_little(options, source, texts, dense):
    found = perplexity(scored(source, texts, "bfloat16", **options)[0])
    print(f"perplexity {found:.4f}, without {options} {dense:.4f}")
    assert abs(found / dense - 1) < MOST
