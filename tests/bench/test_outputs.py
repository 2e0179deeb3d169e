"""The way of a step's outputs, as it is measured: every part of it runs."""

from __future__ import annotations

import asyncio

from bench.outputs import PARTS, Path


def test_every_stream_gets_its_token(tmp_path, monkeypatch):
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path))
    path = Path(3)
    taken = path.step(5)
    assert len(taken) == len(PARTS)
    assert min(taken) > 0
    outputs = asyncio.run(path.read())
    assert [output.outputs[0].token_ids for output in outputs] == [[5], [12], [19]]
