"""`cannot`: what an implementation does not support, as data.

A case that needs a declared word must be refused with a reason; any other must work. So both an
undeclared failure and a declared word that works after all are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from inferd.contracts.verdict import Verdict
from inferd.errors import CheckpointError, UnsupportedModel


class Refused(Exception):
    """The implementation says that it cannot do this; its text is the reason."""


def require(verdict: Verdict) -> None:
    """Raises Refused for a no."""
    if not verdict:
        raise Refused(verdict.reason)


def judge(
    case: object, words: Collection[str], cannot: Collection[str], attempt: Callable[[], None]
) -> None:
    """Run one case that needs the features `words`; raises AssertionError as the module says.

    A refusal is `require` of a no, or UnsupportedModel with the reason.
    """
    declared = ", ".join(sorted(set(words) & set(cannot)))
    problem = _problem(attempt)
    if isinstance(problem, Refused | UnsupportedModel):
        assert str(problem), f"{case}: refused without a reason; say why in the Verdict or error"
        assert declared, (
            f"{case}: refused ({problem}), which `cannot` does not declare\n"
            f"  make it work, or declare one of: {', '.join(sorted(words))}"
        )
    elif declared and problem is None:
        raise AssertionError(f"{case}: works, although `cannot` declares {declared}; take it out")
    elif declared:
        raise AssertionError(
            f"{case}: `cannot` declares {declared}, but instead of refusing it fails: {problem}\n"
            "  a user would get this too: let supports() say no, with the reason"
        ) from problem
    elif problem is not None:
        raise problem


def _problem(attempt: Callable[[], None]) -> Exception | None:
    try:
        attempt()
    except CheckpointError as error:  # an UnsupportedModel that no refusal should look like
        return AssertionError(f"CheckpointError: {error}")
    except Exception as error:
        return error
    return None


def check_words(cannot: Collection[str], known: Collection[str]) -> None:
    """Raises AssertionError for a word that no case uses, for example a misspelt one."""
    unknown = sorted(set(cannot) - set(known))
    assert not unknown, (
        f"`cannot` has words that no case uses: {', '.join(unknown)}\n"
        f"  known: {', '.join(sorted(known))}"
    )
