"""Probe: which phase of a step a torch call or a millisecond belongs to."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

OUTSIDE = "elsewhere"


class Probe:
    """Wraps functions with a phase's name; inner phases are charged to themselves only."""

    def __init__(self) -> None:
        self.phase = OUTSIDE
        self.steps: list[dict[str, float]] = []  # milliseconds per phase, one entry per step
        self._now: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Replace the method `name` of the object `owner`."""
        function: Callable[..., Any] = getattr(owner, name)

        def probed(*args: Any, **kwargs: Any) -> Any:
            outer_phase, self.phase = self.phase, phase
            outer_inner, self._inner = self._inner, 0.0
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - started
                self._now[phase] += (taken - self._inner) * 1e3
                self._inner = outer_inner + taken
                self.phase = outer_phase

        object.__setattr__(owner, name, probed)

    def end_step(self) -> None:
        """What was measured since the last call is one step."""
        self.steps.append(dict(self._now))
        self._now.clear()

    def clear(self) -> None:
        self.steps.clear()
        self._now.clear()


class OpCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context manager: counts the calls that reach torch's dispatcher, below autograd.

    A composite op counts as what it is made of; a view counts as a call (it costs about as much).
    """

    def __init__(self, probe: Probe) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._probe = probe
        self.calls: Counter[tuple[str, str]] = Counter()  # (phase, op)
        self.views: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = str(func.overloadpacket)
        self.calls[self._probe.phase, name] += 1
        if func.is_view:
            self.views.add(name)
        return func(*args, **(kwargs or {}))
