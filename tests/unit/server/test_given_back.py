"""After a crowd: what is made while the gaps are filled lies in none of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from inferd_server.given_back import POOL_BYTES, _filled

pytestmark = pytest.mark.anyio


def test_what_is_made_lies_in_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferd_server.given_back.GAP_BYTES", 16 << 20)  # pytest leaves many, too
    crowd = [float(n) for n in range(200_000)]
    left = crowd[::997]
    del crowd
    sparse = {id(each) // POOL_BYTES for each in left}
    gaps = _filled()
    made = [float(n) for n in range(1000)]
    inside = [each for each in made if id(each) // POOL_BYTES in sparse]
    assert len(inside) < len(made) / 10
    assert gaps


async def test_numbers_stay_when_they_are_renewed(app: Any, client: httpx.AsyncClient) -> None:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 3}
    assert (await client.post("/v1/completions", json=body)).status_code == 200
    before = (await client.get("/metrics")).text
    app.state.service.metrics.renew()
    assert (await client.get("/metrics")).text == before
