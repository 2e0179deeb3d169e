"""The architectures of this repository's plugins, from their own contract tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from models_page import contracts, other_variants

from inferd.testing.oracle import Oracle, ask

LENGTH = 96  # tokens of a prompt
CONTRACTS = contracts()
NATIVE = sorted(CONTRACTS)
KNOWN = [each for each in NATIVE if CONTRACTS[each].oracle_architecture is None]  # by transformers
FALLBACK = sorted(other_variants())  # run by models_transformers


def oracle_of(architecture: str) -> tuple[str, Oracle]:
    """transformers' class, and its answers for the first variant."""
    contract = CONTRACTS.get(architecture)
    if contract is None:
        return architecture, ask(architecture, other_variants()[architecture][0], LENGTH)
    name = contract.oracle_architecture or architecture
    return name, contract().oracle(next(iter(contract.variants)))
