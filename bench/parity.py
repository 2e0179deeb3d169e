"""Greedy ids of inferd against transformers' stored ones, in fp32, over every way to run a batch.

    python bench/parity.py [--prompts N] [--tokens N] [--json FILE]        (`make parity`)

The matrix is {batched, alone} x {one step ahead, synchronous} x {chunked, whole prefill} x {prefix
cache on, off}. A prompt's first differing token is an error, unless transformers' own two best
logits are closer than 1e-3 there: such ties are listed, and more than three in a cell are an error.
Cells with the cache on first run the prompts (odd ones by half) so that there is something to hit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from inferd import LLM, SamplingParams
from inferd.loading.sources import resolve

ROOT = Path(__file__).resolve().parents[1]
ORACLE = ROOT / "tests" / "data" / "parity_smollm2.json"
PROMPTS = ROOT / "bench" / "data" / "cpu_prompts.json"
TIE_MARGIN = 1e-3
MAX_TIES = 3  # in one cell
WHOLE_BUDGET, BATCHED_CHUNK, ALONE_CHUNK = 2048, 256, 64  # tokens of one step
LIMITS = {
    "max_model_len": 1024,
    "num_blocks": 2048,
}  # all 64 prompts and outputs, and what is cached


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to run."""

    batched: bool = True
    ahead: bool = True
    chunked: bool = True
    cached: bool = True

    @property
    def name(self) -> str:
        words = ("batched", "alone"), ("ahead", "sync"), ("chunked", "whole"), ("cache", "no-cache")
        flags = (self.batched, self.ahead, self.chunked, self.cached)
        return " ".join(yes if flag else no for flag, (yes, no) in zip(flags, words, strict=True))

    def options(self, num_prompts: int) -> dict[str, Any]:
        """Keywords of LLM."""
        chunk = BATCHED_CHUNK if self.batched else ALONE_CHUNK
        return {
            **LIMITS,
            "dtype": "float32",
            "max_num_seqs": num_prompts if self.batched else 1,
            "max_num_batched_tokens": chunk if self.chunked else WHOLE_BUDGET,
            "enable_chunked_prefill": self.chunked,
            "async_scheduling": self.ahead,
            "enable_prefix_caching": self.cached,
        }


MATRIX = [Cell(*flags) for flags in product((True, False), repeat=4)]
BASE = Cell()
SINGLE_DEVIATIONS = [Cell(**{name: False}) for name in ("batched", "ahead", "chunked", "cached")]


@dataclass(frozen=True, slots=True)
class Expected:
    """A prompt with transformers' greedy continuation; margins are best minus second best logit."""

    prompt_ids: list[int]
    ids: list[int]
    margins: list[float]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a prompt first leaves transformers' ids."""

    prompt: int
    step: int
    expected: int
    found: int | None  # None: inferd stopped early
    margin: float

    @property
    def is_tie(self) -> bool:
        return self.found is not None and self.margin < TIE_MARGIN


@dataclass(frozen=True, slots=True)
class Outcome:
    cell: Cell
    num_prompts: int
    seconds: float
    cached_tokens: int
    differences: list[Difference] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What makes this cell fail, in words; empty when it passes."""
        found = [f"{d} is no tie" for d in self.differences if not d.is_tie]
        if len(self.differences) - len(found) > MAX_TIES:
            found.append(f"more than {MAX_TIES} ties")
        if self.cell.cached != (self.cached_tokens > 0):
            found.append(f"{self.cached_tokens} prompt tokens came from the prefix cache")
        return found


def load_expected(model: Path, num_prompts: int, num_tokens: int) -> list[Expected]:
    """The first `num_prompts` prompts. Raises ValueError when the oracle ran on other files."""
    oracle = json.loads(ORACLE.read_text(encoding="utf-8"))
    for path, key in ((model, "model_sha256"), (PROMPTS, "prompts_sha256")):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != oracle[key]:
            raise ValueError(
                f"{path}: sha256 {found}, but {ORACLE.name} was made from {oracle[key]}"
            )
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))["main"]
    return [
        Expected(prompt["ids"], output["ids"][:num_tokens], output["margins"][:num_tokens])
        for prompt, output in zip(prompts[:num_prompts], oracle["outputs"], strict=False)
    ]


def run_cell(cell: Cell, model: Path, expected: list[Expected]) -> Outcome:
    started = time.perf_counter()
    prompts = [e.prompt_ids for e in expected]
    with LLM(str(model), **cell.options(len(prompts))) as llm:
        if cell.cached:
            seen = [ids[: len(ids) // (1 + i % 2)] for i, ids in enumerate(prompts)]
            llm.generate(seen, _greedy(1), use_tqdm=False)
        outputs = llm.generate(prompts, _greedy(len(expected[0].ids)), use_tqdm=False)
    found = [output.outputs[0].token_ids for output in outputs]
    return Outcome(
        cell,
        len(prompts),
        round(time.perf_counter() - started, 1),
        sum(output.num_cached_tokens for output in outputs),
        list(differences(expected, found)),
    )


def _greedy(num_tokens: int) -> SamplingParams:
    return SamplingParams(temperature=0.0, max_tokens=num_tokens, ignore_eos=True)


def differences(expected: list[Expected], found: list[list[int]]) -> Iterable[Difference]:
    """The first difference of each prompt that has one."""
    for number, (want, ids) in enumerate(zip(expected, found, strict=True)):
        padded = [*ids, *[None] * (len(want.ids) - len(ids))]
        for step, (right, mine) in enumerate(zip(want.ids, padded, strict=True)):
            if mine != right:
                yield Difference(number, step, right, mine, want.margins[step])
                break


def report(outcome: Outcome) -> None:
    same = outcome.num_prompts - len(outcome.differences)
    ties = sum(d.is_tie for d in outcome.differences)
    verdict = "FAILED" if outcome.problems else "ok"
    print(
        f"{outcome.cell.name:30} {same:3}/{outcome.num_prompts} equal, {ties} ties, "
        f"{outcome.cached_tokens:5} cached, {outcome.seconds:6.1f} s  {verdict}",
        flush=True,
    )
    for line in [f"tie: {d}" for d in outcome.differences if d.is_tie] + outcome.problems:
        print("   ", line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    model = resolve("smollm2")
    expected = load_expected(model, args.prompts, args.tokens)
    outcomes = []
    for cell in MATRIX:
        outcomes.append(run_cell(cell, model, expected))
        report(outcomes[-1])
    if args.json:
        args.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n", "utf-8")
    failed = sum(bool(o.problems) for o in outcomes)
    total = sum(o.seconds for o in outcomes)
    print(f"{len(outcomes) - failed} of {len(outcomes)} cells pass, {total / 60:.1f} min")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
