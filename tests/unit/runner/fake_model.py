"""A model whose next token is a hash of every token it can read through cache and block table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from inferd.config.engine import EngineConfig
from inferd.contracts.attention import AttentionBackend, AttentionRequest, KVSpec
from inferd.contracts.model import CausalLM, KVCache, ModelConfig
from inferd.contracts.verdict import YES, Verdict
from inferd.loading.weights import LoadReport
from inferd.memory.kv_cache import CacheSize
from inferd.memory.kv_groups import KVGroups
from inferd.plugin.registry import Registry
from inferd.runner import model_runner
from inferd.runner.build import Built
from inferd.runner.model_runner import ModelRunner
from inferd.runner.phases import Phases
from inferd.testing.drive import reference_ops
from inferd.types import Batch, RowStart, StepPlan

VOCAB = 97
BLOCK = 4
MAX_LEN = 64
ROWS = 8
BASE = 31


def next_token(tokens: Sequence[int]) -> int:
    value = 0
    for token in tokens:
        value = (value * BASE + token + 1) % 1009
    return value % VOCAB


class FakeAttention(AttentionBackend):
    name = "fake"
    recordable = True

    @classmethod
    def supports(cls, request: AttentionRequest) -> Verdict:
        return YES

    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        shape = (num_blocks, block_size, spec.num_kv_heads, spec.head_dim)
        return torch.full(shape, -1.0), torch.full(shape, -1.0)

    def plan(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> str:
        return f"plan of group {group}"

    def forward(self, *args: Any) -> Tensor:
        raise AssertionError("the fake model reads the cache itself")


class HashModel(CausalLM):
    """Hidden state of a token: the hash of its context, read from the pages of each group."""

    def __init__(self, groups: int = 1) -> None:
        torch.nn.Module.__init__(self)
        self.groups = groups
        self.batches: list[Batch] = []
        self.most_logits = 0
        self.poison: int | None = None  # tokens whose logits are NaN

    def kv_specs(self) -> list[KVSpec]:
        windows = [None, 8, 16]
        kinds = ["full", "window", "window"]
        return [
            KVSpec(1, 1, torch.float32, kinds[g], windows[g])  # type: ignore[arg-type]
            for g in range(self.groups)
        ]

    def set_groups(self, groups: Sequence[int]) -> None:
        assert list(groups) == list(range(self.groups))

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        self.batches.append(batch)
        assert batch.attention == [f"plan of group {g}" for g in range(self.groups)]
        for (k, v), slots in zip(caches, batch.slots_T, strict=True):
            k.view(-1)[slots] = batch.ids_T.float()
            v.view(-1)[slots] = batch.positions_T.float()
        found = [self._read(batch, g, caches[g]) for g in range(self.groups)]
        assert all(torch.equal(found[0], other) for other in found)
        return found[0]

    def _read(self, batch: Batch, group: int, cache: KVCache) -> Tensor:
        hidden = []
        starts = batch.query_starts_R1.tolist()
        for row, context in enumerate(batch.contexts_R.tolist()):
            if not batch.rows_R[row] < ROWS:  # the padding row: whatever it reads is not used
                hidden += [0] * (starts[row + 1] - starts[row])
                continue
            pages = batch.block_tables_RB[group][row].long()
            tokens = cache[0][pages].flatten()[:context].long().tolist()
            places = cache[1][pages].flatten()[:context].long().tolist()
            assert places == list(range(context))
            num = starts[row + 1] - starts[row]
            hidden += [next_token(tokens[: context - num + i + 1]) for i in range(num)]
        return torch.tensor(hidden, dtype=torch.float32)[:, None]

    def compute_logits(self, hidden_ND: Tensor) -> Tensor:
        """Falling from the next token on, around the vocabulary."""
        self.most_logits = max(self.most_logits, len(hidden_ND))
        logits = -((torch.arange(VOCAB) - hidden_ND) % VOCAB)
        if self.poison is not None:
            logits[hidden_ND[:, 0] == self.poison] = torch.nan
        return logits


class Rerun:
    """Stands for a graph: replaying runs the function again, over the same input tensors."""

    def __init__(self, run: Callable[[], Sequence[Tensor]]) -> None:
        self.run = run
        self.replays = 0
        self.outputs: Sequence[Tensor] = ()

    def replay(self) -> Sequence[Tensor]:
        self.replays += 1
        return self.run()


def make_runner(
    monkeypatch: Any,
    model: HashModel,
    processors: Registry[Any] | None = None,
    blocks: int = 40,
    record: Callable[[Any], Rerun] | None = None,
    tape: Callable[[Any], Rerun] | None = None,
) -> ModelRunner:
    """A ModelRunner over the fake; everything after the build is the real one.

    `record` is the platform's, `tape` that of a provider of ops.
    """
    config = EngineConfig.of("fake", block_size=BLOCK, max_num_seqs=ROWS, max_num_batched_tokens=64)
    groups = KVGroups.of(model.kv_specs())
    model.set_groups(groups.group_of)
    backend = FakeAttention()
    platform = SimpleNamespace(
        device=torch.device("cpu"),
        name="fake",
        architecture="fake",
        can_record=record is not None,
        record=record,
        scheduler_defaults={},
        synchronize=lambda: None,
        free_memory=lambda: 0,
    )
    choices: Any = SimpleNamespace(
        platform=platform,
        attention=backend,
        quantization=SimpleNamespace(name="none"),
        weight_formats=lambda model: {},
        op_providers={"fake": SimpleNamespace(record=tape, warmed_up=lambda: None)},
        ops=reference_ops(torch.float32),
    )
    built = Built(
        ModelConfig("Fake", {}, torch.float32, MAX_LEN, VOCAB),
        choices,
        model,
        LoadReport(0, 0),
        groups,
        config.scheduler,
        CacheSize(blocks, 0, MAX_LEN),
        groups.allocate(backend, blocks, BLOCK, torch.device("cpu")),
        Phases(),
    )
    monkeypatch.setattr(model_runner, "build", lambda config, host: built)
    catalog = SimpleNamespace(logits_processors=processors or Registry("logits processor"))
    return ModelRunner(config, SimpleNamespace(catalog=catalog))  # type: ignore[arg-type]


class Driver:
    """Writes plans as a scheduler would: blocks as needed, each sequence in a row of its own."""

    def __init__(self, runner: ModelRunner, groups: int = 1) -> None:
        self.runner = runner
        self.groups = groups
        self.step_id = 0
        self.epoch = 0
        self.computed: dict[int, int] = {}
        self.epochs: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.starts: list[RowStart] = []
        self.copies: list[tuple[int, int]] = []
        self._free = list(range(1, 40))

    def blocks(self, num: int) -> list[int]:
        return [self._free.pop(num_ % len(self._free)) for num_ in range(num)]

    def enter(self, row: int, prompt: list[int], params: Any, **options: Any) -> RowStart:
        """The blocks of a new row cover its known tokens."""
        self.epoch += 1
        known = len(prompt) + len(options.get("output_ids", []))
        num = -(-known // BLOCK)
        start = RowStart(
            row=row,
            epoch=self.epoch,
            request_id=f"r{row}",
            index=0,
            prompt_ids=prompt,
            output_ids=options.pop("output_ids", []),
            params=params,
            seed=row,
            eos_ids=[],
            bad_word_ids=[],
            block_ids=options.pop("block_ids", None)
            or [self.blocks(num) for _ in range(self.groups)],
            **options,
        )
        self.computed[row], self.epochs[row], self.held[row] = 0, self.epoch, num
        self.starts.append(start)
        return start

    def plan(self, work: dict[int, tuple[int, bool]]) -> StepPlan:
        """row -> (tokens, samples); decodes must come first."""
        new_blocks = []
        for row, (num, _) in work.items():
            while self.held[row] * BLOCK < self.computed[row] + num:
                new_blocks += [(g, row, self.blocks(1)[0]) for g in range(self.groups)]
                self.held[row] += 1
        plan = StepPlan(
            step_id=self.step_id,
            rows=list(work),
            epochs=[self.epochs[row] for row in work],
            num_tokens=[num for num, _ in work.values()],
            starts=[self.computed[row] for row in work],
            samples=[samples for _, samples in work.values()],
            new_rows=self.starts,
            new_blocks=new_blocks,
            copies=self.copies,
        )
        self.starts, self.copies = [], []
        self.step_id += 1
        for row, (num, _) in work.items():
            self.computed[row] += num
        return plan

    def fed(self, row: int, tokens: list[int]) -> StepPlan:
        """`tokens` follow what the row sampled last: all of it in rows of one token."""
        start, num = self.computed[row], len(tokens) + 1
        plan = self.plan({row: (num, True)})
        plan.new_tokens = [(row, start + 1 + i, token) for i, token in enumerate(tokens)]
        plan.rows, plan.epochs = [row] * num, plan.epochs * num
        plan.num_tokens, plan.samples = [1] * num, [True, *[False] * (num - 1)]
        plan.starts = [start + num - 1, *range(start, start + num - 1)]
        return plan

    def submit(self, work: dict[int, tuple[int, bool]]) -> None:
        plan = self.plan(work)
        self.runner.forward(plan)
        self.runner.sample(plan.step_id)

    def step(self, work: dict[int, tuple[int, bool]]) -> Any:
        self.submit(work)
        return self.runner.collect()
