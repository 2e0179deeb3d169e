"""Step: a plan in the making, and what the scheduler remembers of it until its result is in."""

from __future__ import annotations

from inferd.types import RowStart, Sequence, StepPlan

FEW = 8  # tokens that a row may have as decodes; more read its KV together


class Step:
    """Decodes (one token) come first, then everything longer.

    Where a sequence has a few tokens to compute after its prompt, all but the last are rows of one
    token, too: such a step is as uniform as one of decodes alone, and recorded like it.
    """

    __slots__ = (
        "_block_size",
        "_chunked",
        "_chunks",
        "_fed",
        "_fed_starts",
        "_most",
        "budget",
        "completed",
        "copies",
        "decodes",
        "epochs",
        "new_blocks",
        "new_rows",
        "new_tokens",
        "pending_hashes",
        "preempted",
        "prefills",
        "restart",
        "sampling",
        "starts",
        "step_id",
    )

    def __init__(self, step_id: int, budget: int, block_size: int, chunked: bool) -> None:
        self.step_id = step_id
        self.budget = budget  # tokens that are left
        self.preempted = False
        self.new_rows: list[RowStart] = []
        self.new_blocks: list[tuple[int, int, int]] = []
        self.copies: list[tuple[int, int]] = []
        self.new_tokens: list[tuple[int, int, int]] = []
        self.restart = False
        # prompts in the works: sequence, epoch, tokens computed after the step
        self.prefills: list[tuple[Sequence, int, int]] = []
        self.completed: list[tuple[Sequence, int, int]] = []  # the same of rows that fill a block
        self.pending_hashes: set[bytes] = set()  # prompt blocks this step computes
        self.decodes: list[Sequence] = []  # one token each, and they sample
        self.starts: list[int] = []  # of the decodes
        self.sampling: list[Sequence] = []  # in plan order
        self.epochs: list[int] = []  # of those that sample
        self._most = budget
        self._block_size = block_size
        self._chunked = chunked
        self._fed: list[Sequence] = []  # for each of their tokens before that of a decode
        self._fed_starts: list[int] = []
        self._chunks: list[tuple[Sequence, int, int, bool]] = []  # start, tokens, samples

    @property
    def is_empty(self) -> bool:
        return not (self.decodes or self._chunks)

    @property
    def num_tokens(self) -> int:
        return self._most - self.budget

    def chunk(self, seq: Sequence, todo: int) -> int:
        """How many of `todo` tokens it may have; without chunking all or none.

        A sequence longer than any step is split in either case.
        """
        if self._chunked or seq.num_known > self._most:
            return min(todo, self.budget)
        return todo if todo <= self.budget else 0

    def take(self, seq: Sequence, num: int) -> None:
        """`num` tokens; samples when that closes the gap."""
        start = seq.num_computed
        end = start + num
        samples = end == seq.max_len
        seq.num_computed = end
        self.budget -= num
        seq.in_flight += samples
        seq.decoding = samples
        if start < seq.num_prompt:
            self.prefills.append((seq, seq.epoch, end))
        if start // self._block_size != end // self._block_size:
            self.completed.append((seq, seq.epoch, end))
        if samples and (num == 1 or (num <= FEW and start >= seq.num_prompt)):
            self.decodes.append(seq)
            self.starts.append(end - 1)
            self._fed += [seq] * (num - 1)
            self._fed_starts += range(start, end - 1)
        else:
            self._chunks.append((seq, start, num, samples))

    def plan(self) -> StepPlan:
        """The numbered diff for the worker. Also fixes which entries a result must have."""
        ones, chunks = self.decodes + self._fed, self._chunks
        num_decodes, num_fed = len(self.decodes), len(self._fed)
        epochs = [seq.epoch for seq in ones]
        sampling = [chunk[0] for chunk in chunks if chunk[3]]
        self.sampling = self.decodes + sampling
        self.epochs = epochs[:num_decodes] + [seq.epoch for seq in sampling]
        return StepPlan(
            step_id=self.step_id,
            rows=[seq.row for seq in ones] + [chunk[0].row for chunk in chunks],
            epochs=epochs + [chunk[0].epoch for chunk in chunks],
            num_tokens=[1] * len(ones) + [chunk[2] for chunk in chunks],
            starts=self.starts + self._fed_starts + [chunk[1] for chunk in chunks],
            samples=[True] * num_decodes + [False] * num_fed + [chunk[3] for chunk in chunks],
            new_rows=self.new_rows,
            new_blocks=self.new_blocks,
            copies=self.copies,
            new_tokens=self.new_tokens,
            restart=self.restart,
        )
