"""Compares every architecture with transformers and writes the day to docs/reference/parity.json.

python docs/parity.py [ARCHITECTURE ...]      default: all; some minutes

The same oracle, weights and ways as ModelContract's; what differs keeps its older day and is named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import torch
from models_page import PARITY, Variants, contracts, other_variants

from inferd.contracts.model import ANY, CausalLM
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.testing import ModelContract
from inferd.testing.oracle import Oracle, ask
from inferd.testing.parity import SAME, WAYS, distance, load

LENGTH = 96  # tokens of a prompt


def main() -> int:
    torch.set_num_threads(1)
    models = Host(Selection.parse("all")).catalog.models
    native, others = contracts(), other_variants()
    chosen = sys.argv[1:] or [*native, *others]
    dates = json.loads(PARITY.read_text(encoding="utf-8"))["dates"] if PARITY.exists() else {}
    failed = []
    for name in chosen:
        kind = models.load(name if name in native else ANY)
        worst = max(worst_of(kind, oracle) for oracle in oracles(name, native.get(name), others))
        print(f"{name}: {worst:.1e}", flush=True)
        if worst < SAME:
            dates[name] = datetime.now(UTC).date().isoformat()
            _write(dates)  # what a run has found stays when it is ended
        else:
            failed.append(name)
    if failed:
        print(f"differ: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _write(dates: dict[str, str]) -> None:
    versions = {name: version(name) for name in ("torch", "transformers")}
    text = json.dumps({"versions": versions, "dates": dict(sorted(dates.items()))}, indent=1)
    PARITY.write_text(text + "\n", encoding="utf-8")


def oracles(name: str, contract: type[ModelContract] | None, others: Variants) -> Iterator[Oracle]:
    """Of every variant."""
    if contract is None:
        yield from (ask(name, hf, LENGTH) for hf in others[name])
    else:
        yield from (contract().oracle(variant) for variant in contract.variants)


def worst_of(kind: type[CausalLM], oracle: Oracle) -> float:
    """Over all ways, in standard deviations of the logits."""
    return max(distance(load(kind, oracle), oracle, way) for way in WAYS)


if __name__ == "__main__":
    sys.exit(main())
