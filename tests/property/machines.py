"""State machines that Hypothesis drives: what can be done, in any order, and what must hold."""

from __future__ import annotations

import contextlib
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scheduling_invariants import check_pool
from scheduling_world import BLOCK, FULL, MANY, PREFIXES, STOP, VOCAB, WINDOW, Setup, World

from inferd.errors import ContextTooLong
from inferd.memory.block_pool import BlockPool
from inferd.memory.block_table import CacheLayout
from inferd.memory.prefix_cache import PrefixCache
from inferd.params import SamplingParams
from inferd.types import Request

SETUPS = st.builds(
    Setup,
    blocks=st.integers(25, 60),
    groups=st.sampled_from([(FULL,), (FULL, WINDOW), (WINDOW,), MANY]),
    rows=st.integers(1, 6),
    budget=st.sampled_from([1, 5, 16, 200]),
    short=st.sampled_from([0, 3, 20]),
    depth=st.sampled_from([1, 0, 2]),
    chunked=st.booleans(),
    caching=st.booleans(),
    priority=st.booleans(),
)
PARAMS = st.builds(
    SamplingParams,
    n=st.sampled_from([1, 2, 3]),
    max_tokens=st.sampled_from([None, 1, 2, 10]),
    prompt_logprobs=st.sampled_from([None, None, 0]),
)
PROMPTS = st.builds(
    lambda text, shared, own: PREFIXES[text][:shared] + own,
    st.integers(0, 1),
    st.sampled_from([0, 3, 4, 20, 48]),
    st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=2 * BLOCK),
)


class SchedulerMachine(RuleBasedStateMachine):
    """Requests come, go and end; the world checks every step."""

    @initialize(setup=SETUPS)
    def start(self, setup: Setup) -> None:
        self.world = World(setup)
        self.count = 0

    @rule(
        prompt=PROMPTS,
        params=PARAMS,
        seed=st.integers(0, 9),
        priority=st.integers(0, 2),
        salt=st.sampled_from(["", "mine"]),
    )
    def submit(
        self, prompt: list[int], params: SamplingParams, seed: int, priority: int, salt: str
    ) -> None:
        self.count += 1
        request = Request(
            request_id=str(self.count),
            prompt_ids=prompt,
            params=params,
            seed=seed,
            eos_ids=[STOP],
            priority=priority,
            cache_salt=salt,
        )
        with contextlib.suppress(ContextTooLong):
            self.world.submit(request)

    @precondition(lambda self: self.world.open)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.world.open)))
        samples = sorted(self.world.open[request_id])
        self.world.abort(request_id, data.draw(st.sampled_from([None, *samples])))

    @precondition(lambda self: self.world.open)
    @rule(data=st.data())
    def break_one(self, data: st.DataObject) -> None:
        self.world.worker.failing.add(data.draw(st.sampled_from(sorted(self.world.open))))

    @rule()
    def step(self) -> None:
        self.world.step()

    @rule()
    def collect(self) -> None:
        self.world.collect()

    @rule(times=st.integers(1, 20))
    def turn(self, times: int) -> None:
        for _ in range(times):
            self.world.turn()

    @rule(number=st.integers(0, 5), length=st.sampled_from([1, 3, 8, 12]))
    def foresee(self, number: int, length: int) -> None:
        self.world.foresee(number, length)

    @rule()
    def lose(self) -> None:
        self.world.lose()

    @rule()
    def forget_prefixes(self) -> None:
        self.world.scheduler.reset_prefix_cache()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.drain()


class PoolMachine(RuleBasedStateMachine):
    """Tables take, share and return blocks; a model keeps who holds what and what is cached."""

    NUM_BLOCKS = 9

    def __init__(self) -> None:
        super().__init__()
        self.cache = PrefixCache(CacheLayout(self.NUM_BLOCKS, BLOCK))
        self.pool = BlockPool(self.NUM_BLOCKS, self.cache.evict)
        self.tables: list[list[int]] = []
        self.submitted = self.collected = 0  # steps
        self.retired: dict[int, int] = {}  # block -> the step that may touch it

    @rule(size=st.integers(1, 4))
    def take(self, size: int) -> None:
        if size <= self.pool.num_available:
            self.tables.append([self.pool.allocate() for _ in range(size)])
            for block_id in self.tables[-1]:
                self.retired.pop(block_id, None)

    @precondition(lambda self: self.tables)
    @rule(data=st.data(), hashes=st.lists(st.integers(0, 5), min_size=4, max_size=4))
    def register(self, data: st.DataObject, hashes: list[int]) -> None:
        table = data.draw(st.sampled_from(self.tables))
        for block_id, number in zip(table, hashes, strict=False):
            self.cache.insert(0, bytes([number]), self.pool.blocks[block_id])

    @rule(hashes=st.lists(st.integers(0, 5), max_size=4, unique=True))
    def share(self, hashes: list[int]) -> None:
        (found,) = self.cache.match([bytes([number]) for number in hashes], len(hashes))
        for number, block_id in zip(hashes, found, strict=False):
            assert self.pool.blocks[block_id].block_hash == (0, bytes([number]))
            self.pool.touch(block_id)
            self.retired.pop(block_id, None)
        self.tables.append(found)

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        table = self.tables.pop(data.draw(st.integers(0, len(self.tables) - 1)))
        in_flight = self.submitted > self.collected
        self.pool.free(reversed(table), self.submitted if in_flight else None)
        for block_id in table:
            if in_flight and self.pool.blocks[block_id].refs == 0:
                self.retired[block_id] = self.submitted

    @rule()
    def submit(self) -> None:
        self.submitted += 1

    @precondition(lambda self: self.submitted > self.collected)
    @rule()
    def collect(self) -> None:
        self.collected += 1
        self.pool.collect(self.collected)
        self.retired = {b: step for b, step in self.retired.items() if step > self.collected}

    @rule()
    def clear(self) -> None:
        self.cache.clear()

    @invariant()
    def every_block_is_in_one_place(self) -> None:
        check_pool(self.pool, Counter(b for table in self.tables for b in table))
        assert self.pool.num_retiring == len(self.retired)

    @invariant()
    def the_cache_and_its_blocks_agree(self) -> None:
        hashed = [block for block in self.pool.blocks if block.block_hash is not None]
        assert all(block.block_hash in self.cache for block in hashed)
        assert len(hashed) == len(self.cache)
