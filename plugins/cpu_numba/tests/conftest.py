from __future__ import annotations

import pytest

from inferd_cpu_numba import runtime


@pytest.fixture
def other_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of bfloat16 as this CPU is slower at them, if it has two ways."""
    pairs = runtime.has_pairs() and not runtime.multiplies_pairs()
    monkeypatch.setattr(runtime, "multiplies_pairs", lambda: pairs)
