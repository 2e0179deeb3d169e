"""The vocabulary of inferd: every other module speaks in these nouns.

    front end --Request--> engine --StepPlan--> worker
    front end <--SequenceOutput-- engine <--StepResult-- worker

Each field says who fills it. Nothing here imports torch; tensors appear in annotations only.

Shape suffixes: T tokens and R rows of a step, N positions that need logits, B blocks of a row.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from inferd.params import SamplingParams

if TYPE_CHECKING:
    import torch

FinishReason = Literal["stop", "length", "abort", "error"]


class Request(msgspec.Struct, kw_only=True):
    """What one client asked for. Filled by the front end, read-only afterwards."""

    request_id: str
    prompt_ids: list[int]
    params: SamplingParams
    seed: int  # fixed at admission: from params.seed, else drawn by the front end
    eos_ids: list[int] = []  # ends a sequence, unless params.ignore_eos (then empty)
    output_ids: list[list[int]] = []  # per sample; known output when a request is resumed
    bad_word_ids: list[list[int]] = []  # params.bad_words, tokenized
    priority: int = 0  # smaller runs first, under the priority policy
    cache_salt: str = ""  # part of every block hash: who shares the prefix cache
    arrival: float = 0.0  # monotonic seconds; set by the front end


class Logprobs(msgspec.Struct, array_like=True, gc=False):
    """Raw log-probabilities at one position: the chosen token first, then the k most likely."""

    token_ids: list[int]
    values: list[float]
    rank: int  # of the chosen token, 1 = most likely


class SequenceOutput(msgspec.Struct, array_like=True, gc=False):
    """What one step adds to one sequence. Filled by the engine."""

    request_id: str
    index: int  # sample index, below params.n
    token_ids: list[int]
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None  # the stop token or string that ended it
    logprobs: list[Logprobs] | None = None
    prompt_logprobs: list[Logprobs | None] | None = None  # once, with the first token
    num_cached: int = 0  # prompt tokens read from the prefix cache; with the first token
    error: str | None = None  # with finish_reason "error"
    began: float = 0.0  # monotonic seconds: its prompt's first step; with the first token
    error_code: str | None = None  # of an error that may pass: out_of_memory


class Status(enum.IntEnum):
    WAITING = 0
    RUNNING = 1
    PREEMPTED = 2  # waits again; its known output is kept and recomputed
    FINISHED = 3


@lru_cache(maxsize=1024)
def _stop_ids(*token_ids: int) -> frozenset[int]:
    """One set for all sequences that stop alike: it stays in the CPU's cache."""
    return frozenset(token_ids)


class Sequence:
    """One sample of one request while it lives in the engine. Owned by the scheduler.

    `num_computed` counts tokens whose KV is written or submitted; the gap to `max_len` is what the
    scheduler closes. `max_len` = known tokens + sampled tokens still in flight + what comes after
    those, where that is known.
    """

    __slots__ = (
        "ahead",
        "block_hashes",
        "decoding",
        "epoch",
        "finish_reason",
        "held",
        "in_flight",
        "index",
        "key",
        "leader",
        "max_total",
        "num_cached",
        "num_computed",
        "num_known",
        "num_preemptions",
        "num_prompt",
        "order",
        "output_ids",
        "prompt_logprobs",
        "registered",
        "request",
        "row",
        "status",
        "stop_ids",
        "tables",
    )

    def __init__(self, request: Request, index: int, max_model_len: int, order: int) -> None:
        params = request.params
        known = request.output_ids[index] if index < len(request.output_ids) else []
        self.request = request
        self.index = index  # sample index
        self.order = order  # admission number: fcfs order
        self.status = Status.WAITING
        self.row = -1  # of the request table, while running
        self.epoch = -1  # which tenancy of the row; a result with another epoch is dropped
        self.output_ids: list[int] = list(known)  # committed output
        self.num_prompt = len(request.prompt_ids)
        self.num_known = self.num_prompt + len(known)  # prompt + committed output
        self.num_computed = 0
        self.in_flight = 0  # sampled tokens not collected yet
        self.ahead: list[int] = []  # tokens that come after the one in flight
        self.decoding = False  # only the newest token, known or in flight, is to be computed
        self.num_cached = 0  # prompt tokens found in the prefix cache at (first) admission
        self.num_preemptions = 0
        self.tables: list[list[int]] = []  # per group: block ids, while running
        self.block_hashes: list[bytes] = []  # chain over full blocks of known tokens
        self.registered = 0  # leading blocks that are in the prefix cache
        self.key: tuple[int, ...] = ()  # the policy's order among waiting and running
        self.held = False  # waited a step for a block that another was computing
        self.leader: Sequence | None = None  # n > 1: whose prompt blocks it shares
        self.prompt_logprobs: list[Logprobs | None] | None = None  # until delivered
        self.finish_reason: FinishReason | None = None
        self.stop_ids = _stop_ids(*params.stop_token_ids, *request.eos_ids)
        room = max_model_len - self.num_prompt
        want = room if params.max_tokens is None else min(params.max_tokens, room)
        self.max_total = self.num_prompt + want  # prompt + the most output it may get

    @property
    def max_len(self) -> int:
        return self.num_known + self.in_flight + len(self.ahead)


class RowStart(msgspec.Struct, array_like=True):
    """A sequence takes a row of the request table. Part of a StepPlan."""

    row: int
    epoch: int
    request_id: str
    index: int
    prompt_ids: list[int]
    output_ids: list[int]
    params: SamplingParams
    seed: int
    eos_ids: list[int]
    bad_word_ids: list[list[int]]
    block_ids: list[list[int]]  # per group: the whole table of the row at this moment
    wants_prompt_logprobs: bool = False  # false again on resume when they were delivered


class StepPlan(msgspec.Struct, array_like=True):
    """One step for a worker: numbered diffs against its request table. Filled by the scheduler.

    Rows are ordered decodes (one token each) first. Lists over rows are parallel to `rows`, which
    names a row once for each token where it has a few to compute after its prompt.
    """

    step_id: int
    rows: list[int]
    epochs: list[int]
    num_tokens: list[int]  # tokens this step computes
    starts: list[int]  # position of the first of them (= tokens computed before)
    samples: list[bool]  # whether the row reaches its end and samples a token
    new_rows: list[RowStart] = []
    new_blocks: list[
        tuple[int, int, int]
    ] = []  # (group, row, block) appended to running rows' tables
    copies: list[tuple[int, int]] = []  # (from, to) blocks, before the forward: copy on write
    new_tokens: list[tuple[int, int, int]] = []  # (row, position, token) that no step samples
    restart: bool = False  # steps before it were lost: no row holds what it held

    @property
    def total_tokens(self) -> int:
        return sum(self.num_tokens)


class StepMasks(msgspec.Struct, array_like=True):
    """Which tokens may follow in rows that a grammar restricts. Filled by the engine."""

    rows: list[int]
    words: memoryview  # int32, [rows, vocabulary / 32]: bit t % 32 of word t // 32 allows token t


class StepResult(msgspec.Struct, array_like=True):
    """What a step sampled. Filled by the worker; lists follow the plan's sampling rows."""

    step_id: int
    rows: list[int]
    epochs: list[int]
    token_ids: list[int]
    logprobs: dict[int, Logprobs] = {}  # by row, where asked for
    prompt_logprobs: dict[int, list[Logprobs]] = {}  # by row: positions computed in this step
    errors: dict[int, str] = {}  # by row: this request failed alone


class StepStats(msgspec.Struct, array_like=True):
    """The engine's state after a step, for metrics and loggers. Filled by the engine."""

    num_running: int = 0
    num_waiting: int = 0
    num_blocks: int = 0
    num_blocks_used: int = 0
    num_preemptions: int = 0  # cumulative, as all below
    prefix_queries: int = 0  # prompt tokens looked up
    prefix_hits: int = 0  # prompt tokens found
    num_steps: int = 0
    num_tokens: int = 0  # tokens computed


@dataclass(slots=True)
class Batch:
    """What a forward pass sees. Host numbers are exact; tensors live on the device."""

    # filled by the runner from the plan
    num_tokens: int
    num_rows: int
    num_decodes: int  # rows with one token; they come first
    num_blocks: int  # of the KV cache
    query_lens: list[int]  # per row, this step's tokens
    context_lens: list[int]  # per row, tokens in the cache after this step
    # filled by input preparation on the device
    rows_R: torch.Tensor  # int64, row of the request table
    ids_T: torch.Tensor  # int64
    positions_T: torch.Tensor  # int64
    query_starts_R1: torch.Tensor  # int32, cumulative, R+1 entries
    contexts_R: torch.Tensor  # int32, device copy of context_lens
    slots_T: list[torch.Tensor]  # per group, int64: block * block_size + offset
    block_tables_RB: list[torch.Tensor]  # per group, int32, padded with 0
    logits_N: torch.Tensor  # int64, indices into T
    # filled by the attention backends' plan(), one entry per group
    attention: list[object] = field(default_factory=list)
    # filled by the model before its first layer: what prepare_rope made of the positions
    rope: object = None
