"""Running a contract over a wrong implementation: at least one of its checks must fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inferd.contracts.ops import OpProvider
from inferd.contracts.verdict import YES


def fails(check: Callable[[object], None], cases: Iterable[object]) -> bool:
    """Whether any case fails; those after it are not run."""
    return any(failures(check, [case]) for case in cases)


def failures(check: Callable[[object], None], cases: Iterable[object]) -> dict[str, str]:
    """Message by case that fails."""
    found: dict[str, str] = {}
    for case in cases:
        try:
            check(case)
        except AssertionError as error:
            found[str(case)] = str(error)
    return found


def provider(**ops: object) -> type[OpProvider]:
    """One that offers these."""

    class Offered(OpProvider):
        name = "torch"

        @classmethod
        def supports(cls, request):
            return YES

        def ops(self, request):
            return ops

    return Offered
