"""What cache-aware routers hear: a mirror kept by events is the cache itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from fakes import HashExecutor, fake_host

from inferd.config.engine import EngineConfig
from inferd.engine.engine import Engine
from inferd.engine.kv_events import KvEvents
from inferd.errors import EnvironmentProblem
from inferd.memory.cache_events import AllBlocksCleared, BlockRemoved, BlockStored
from inferd.params import SamplingParams
from inferd.types import Request


class Mirror:
    """block hash -> (parent, tokens), as a router keeps it."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, tuple[bytes | None, list[int]]] = {}
        self.removed = 0

    def hear(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, BlockStored):
                parent = event.parent_block_hash
                assert parent is None or parent in self.blocks
                for at, block_hash in enumerate(event.block_hashes):
                    assert block_hash not in self.blocks
                    tokens = event.token_ids[at * 16 : (at + 1) * 16]
                    assert len(tokens) == event.block_size == 16
                    self.blocks[block_hash] = (parent, tokens)
                    parent = block_hash
            elif isinstance(event, BlockRemoved):
                for block_hash in event.block_hashes:
                    del self.blocks[block_hash]
                    self.removed += 1
            else:
                assert isinstance(event, AllBlocksCleared)
                self.blocks.clear()


def engine_with(kv_events: str | None) -> Engine:
    made = Engine(EngineConfig.of("none", kv_events=kv_events), fake_host(HashExecutor))
    made.start()
    return made


def run(made: Engine, mirror: Mirror, name: str, prompt: list[int], salt: str = "") -> None:
    params = SamplingParams(max_tokens=20, ignore_eos=True)
    made.add(Request(request_id=name, prompt_ids=prompt, params=params, seed=0, cache_salt=salt))
    while made.has_work:
        made.step()
        mirror.hear(made.cache_events())


def test_a_mirror_of_the_events_is_the_cache() -> None:
    made, mirror = engine_with("ipc://unused"), Mirror()
    for number in range(40):  # 63 blocks hold about ten of these requests
        run(made, mirror, str(number), [number] * 8 + list(range(64)))
        cached = {block_hash for _, block_hash in made._scheduler.blocks.cache._blocks}
        assert set(mirror.blocks) == cached
    assert mirror.removed > 100
    first = [block for block in mirror.blocks.values() if block[0] is None]
    assert all(tokens == [tokens[0]] * 8 + list(range(8)) for _, tokens in first)
    made.reset_prefix_cache()
    mirror.hear(made.cache_events())
    assert not mirror.blocks


def test_what_no_other_request_can_find_is_not_told() -> None:
    made, mirror = engine_with("ipc://unused"), Mirror()
    run(made, mirror, "a", list(range(64)), salt="mine")
    assert not mirror.blocks
    silent = engine_with(None)
    run(silent, mirror, "a", list(range(64)))
    assert not mirror.blocks


def test_batches_are_numbered_frames(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events"
    events, context = KvEvents(address, "kv@here"), zmq.Context()
    reader = context.socket(zmq.SUB)
    reader.connect(address)
    reader.setsockopt(zmq.SUBSCRIBE, b"kv@")
    stored = BlockStored([b"h"], None, [1, 2], 2)
    for _ in range(500):  # until the subscription has arrived
        events.publish([stored, BlockRemoved([b"g"]), AllBlocksCleared()])
        if reader.poll(20):
            break
    topic, number, payload = reader.recv_multipart()
    assert topic == b"kv@here"
    assert int.from_bytes(number, "big") >= 0
    assert len(number) == 8
    time_s, told, rank = msgspec.msgpack.decode(payload)
    assert time_s > 1e9
    assert rank == 0
    assert told[0] == ["BlockStored", [b"h"], None, [1, 2], 2, None, "GPU"]
    assert told[1:] == [["BlockRemoved", [b"g"], "GPU"], ["AllBlocksCleared"]]
    with pytest.raises(EnvironmentProblem, match="--kv-events"):
        KvEvents("tcp://nowhere.invalid:1", "")
    events.close()
    context.destroy(linger=0)
