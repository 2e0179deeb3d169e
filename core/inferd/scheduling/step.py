"""Step: a plan in the making, and what the scheduler remembers of it until its result is in."""

from __future__ import annotations

from inferd.types import RowStart, Sequence, StepPlan


class Step:
    """Decodes (one token) come first, then everything longer."""

    __slots__ = (
        "_chunks",
        "_decodes",
        "_starts",
        "budget",
        "completed",
        "copies",
        "new_blocks",
        "new_rows",
        "pending_hashes",
        "preempted",
        "prefills",
        "sampling",
        "step_id",
        "tenants",
    )

    def __init__(self, step_id: int, budget: int) -> None:
        self.step_id = step_id
        self.budget = budget
        self.preempted = False
        self.new_rows: list[RowStart] = []
        self.new_blocks: list[tuple[int, int, int]] = []
        self.copies: list[tuple[int, int]] = []
        self.prefills: list[tuple[Sequence, int]] = []  # and the tokens computed after the step
        self.completed: list[tuple[Sequence, int, int]] = []  # sequence, epoch, tokens computed
        self.pending_hashes: set[bytes] = set()  # prompt blocks this step computes
        self.sampling: list[tuple[Sequence, int]] = []  # with the epoch, in plan order
        self.tenants: list[tuple[Sequence, int]] = []  # prefilling rows with their epochs
        self._decodes: list[Sequence] = []
        self._starts: list[int] = []  # of the decodes
        self._chunks: list[tuple[Sequence, int, int, bool]] = []  # start, tokens, samples

    @property
    def is_empty(self) -> bool:
        return not (self._decodes or self._chunks)

    def decode(self, seq: Sequence) -> None:
        """One token inside a block that the sequence already has; it samples."""
        self._decodes.append(seq)
        self._starts.append(seq.num_computed)
        seq.num_computed += 1
        seq.in_flight += 1
        self.budget -= 1

    def take(self, seq: Sequence, num: int) -> None:
        """`num` tokens; samples when that closes the gap."""
        start = seq.num_computed
        end = start + num
        samples = end == seq.num_known + seq.in_flight
        seq.num_computed = end
        self.budget -= num
        seq.in_flight += samples
        if start < len(seq.request.prompt_ids):
            self.prefills.append((seq, end))
        if num == 1 and samples:
            self._decodes.append(seq)
            self._starts.append(start)
        else:
            self._chunks.append((seq, start, num, samples))

    def remember_completed(self, block_size: int) -> None:
        """Rows that fill a block in this step: its generated tokens are hashed on commit."""
        for seq, start in zip(self._decodes, self._starts, strict=True):
            if (start + 1) % block_size == 0:
                self.completed.append((seq, seq.epoch, start + 1))
        for seq, start, num, _ in self._chunks:
            if start // block_size != (start + num) // block_size:
                self.completed.append((seq, seq.epoch, start + num))

    def plan(self) -> StepPlan:
        """The numbered diff for the worker. Also fixes which entries a result must have."""
        decodes, chunks = self._decodes, self._chunks
        self.sampling = [(seq, seq.epoch) for seq in decodes]
        self.sampling += [(chunk[0], chunk[0].epoch) for chunk in chunks if chunk[3]]
        self.tenants = [(seq, seq.epoch) for seq, _ in self.prefills]
        ones = len(decodes)
        return StepPlan(
            step_id=self.step_id,
            rows=[s.row for s in decodes] + [c[0].row for c in chunks],
            epochs=[s.epoch for s in decodes] + [c[0].epoch for c in chunks],
            num_tokens=[1] * ones + [c[2] for c in chunks],
            starts=self._starts + [c[1] for c in chunks],
            samples=[True] * ones + [c[3] for c in chunks],
            new_rows=self.new_rows,
            new_blocks=self.new_blocks,
            copies=self.copies,
        )
