"""What structured outputs cost: tokens per second of a batch under a schema, against free text.

    python bench/structured.py [--model M] [--batch N] [--rounds N] [--backend NAME]

Each round runs the batch under the schema, then as free text, with as many tokens for each request
as it had under the schema. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from inferd import LLM, SamplingParams, StructuredOutputs

FIELD = {"type": "string", "minLength": 20, "maxLength": 60}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": FIELD,
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "facts": {"type": "array", "items": FIELD, "minItems": 4, "maxItems": 4},
        "mood": {"enum": ["calm", "cheerful", "tired"]},
    },
    "required": ["name", "age", "facts", "mood"],
    "additionalProperties": False,
}
MAX_TOKENS = 400


def timed(
    llm: LLM, prompts: list[str], params: Sequence[SamplingParams]
) -> tuple[list[int], float]:
    """(tokens of each output, seconds)."""
    began = time.perf_counter()
    outputs = llm.generate(prompts, list(params), use_tqdm=False)
    seconds = time.perf_counter() - began
    return [len(output.outputs[0].token_ids) for output in outputs], seconds


def measure(llm: LLM, batch: int, backend: str | None) -> dict[str, float]:
    """One round."""
    prompts = [f"Describe person number {number} of a novel as JSON." for number in range(batch)]
    wanted = StructuredOutputs(json=json.dumps(SCHEMA), backend=backend)
    bound = SamplingParams(structured_outputs=wanted, max_tokens=MAX_TOKENS, seed=1)
    counts, structured_s = timed(llm, prompts, [bound] * batch)
    free = [SamplingParams(max_tokens=count, ignore_eos=True, seed=1) for count in counts]
    _, free_s = timed(llm, prompts, free)
    tokens = sum(counts)
    return {"structured": tokens / structured_s, "free": tokens / free_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", help="of structured outputs; default: the best installed")
    args = parser.parse_args()
    with LLM(args.model, max_num_seqs=args.batch) as llm:
        measure(llm, args.batch, args.backend)  # compiles the grammar
        rounds = [measure(llm, args.batch, args.backend) for _ in range(args.rounds)]
    print(json.dumps(report(rounds, args.batch)))


def report(rounds: list[dict[str, float]], batch: int) -> dict[str, Any]:
    """Medians in tokens per second; the loss is that of the median round."""
    losses = [1 - each["structured"] / each["free"] for each in rounds]
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return {"batch": batch, **medians, "loss": statistics.median(losses), "losses": losses}


if __name__ == "__main__":
    main()
