"""Which implementation wins, and why: a pure function over what the plugins registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from inferd.contracts.verdict import Verdict
from inferd.errors import PluginError
from inferd.plugin.registry import Entry, Registry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """One entry and its answer."""

    entry: Entry
    verdict: Verdict
    implementation: type[T] | None

    def __str__(self) -> str:
        word = "yes" if self.verdict else "no "
        reason = f": {self.verdict.reason}" if self.verdict.reason else ""
        return f"{word} {self.entry.name} ({self.entry.priority}, {self.entry.plugin}){reason}"


def candidates(registry: Registry[T], ask: Callable[[type[T]], Verdict]) -> list[Candidate[T]]:
    """Every entry with its verdict, by falling priority; one that cannot be imported says no."""
    found: list[Candidate[T]] = []
    for entry in registry:
        try:
            implementation: Any = registry.load(entry.name)
        except PluginError as error:
            found.append(Candidate(entry, Verdict(False, str(error)), None))
            continue
        found.append(Candidate(entry, ask(implementation), implementation))
    return found


def choose(
    registry: Registry[T],
    ask: Callable[[type[T]], Verdict],
    *,
    wanted: str | None = None,
    flag: str = "",
) -> type[T]:
    """The implementation to use: the one the user named, else the best that says yes.

    Raises PluginError with every candidate's reason when none fits, and one that names `flag` when
    two plugins tie at the top.
    """
    if wanted is not None:
        implementation = registry.load(wanted)
        verdict = ask(implementation)
        if not verdict:
            raise PluginError(f"{registry.kind} {wanted!r} cannot be used: {verdict.reason}")
        return implementation
    found = candidates(registry, ask)
    fitting = [c for c in found if c.verdict and c.implementation is not None]
    if not fitting:
        raise PluginError(f"no {registry.kind} fits\n{explain(found)}")
    best = [c for c in fitting if c.entry.priority == fitting[0].entry.priority]
    if len(best) > 1:
        names = " and ".join(repr(c.entry.name) for c in best)
        raise PluginError(
            f"{registry.kind}s {names} fit equally well; choose with {flag} {best[0].entry.name}\n"
            f"{explain(found)}"
        )
    assert best[0].implementation is not None
    return best[0].implementation


def explain(found: list[Candidate[Any]]) -> str:
    """One line per candidate, for `inferd plugins why` and for errors."""
    return "\n".join(f"  {candidate}" for candidate in found) or "  nothing is registered"
