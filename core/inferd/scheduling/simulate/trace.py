"""Traces: when requests arrive, and how long they are.

A trace is a JSON object of columns, one entry per request:

    {"lengths": [[220, 190], [31, 402]],         prompt and output tokens
     "arrivals": [0.0, 0.37],                    seconds; absent: all at once
     "prefixes": [["system", 128], ["", 0]],     optional: a name, and how many tokens share it
     "priorities": [0, 1]}                       optional: smaller runs first

`arrivals` may also be an object of such lists by request rate, of which one is chosen; lengths,
prefixes and priorities start over where there are more arrivals. Other keys are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from inferd.errors import UsageError
from inferd.params import SamplingParams
from inferd.types import Request

SPAN = 1 << 20  # longer than any prompt: token ids of one text never meet those of another


class _File(msgspec.Struct):
    lengths: list[tuple[int, int]]
    arrivals: list[float] | dict[str, list[float]] = []
    prefixes: list[tuple[str, int]] = []
    priorities: list[int] = []


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a trace."""

    prompt_tokens: int
    output_tokens: int
    at: float = 0.0  # seconds
    prefix: str = ""
    prefix_tokens: int = 0  # of the prompt, shared by all requests with that prefix
    priority: int = 0

    def request(self, number: int) -> Request:
        """Ids that are equal in shared prefixes and nowhere else."""
        shared = min(self.prefix_tokens, self.prompt_tokens)
        text = (crc32(self.prefix.encode()) + (1 << 32)) * SPAN
        own = number * SPAN
        prompt = [*range(text, text + shared), *range(own + shared, own + self.prompt_tokens)]
        params = SamplingParams(max_tokens=self.output_tokens, ignore_eos=True)
        return Request(
            request_id=str(number),
            prompt_ids=prompt,
            params=params,
            seed=0,
            priority=self.priority,
            arrival=self.at,
        )


def load_trace(path: Path, rate: str | None = None) -> list[Arrival]:
    """Requests in the order of their arrival. Raises UsageError, saying what is wrong."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise UsageError(f"cannot read the trace {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path} is not a trace: {error}\n"
            '  expected: {"lengths": [[prompt, output], ...], "arrivals": [seconds, ...]}'
        ) from None
    if not file.lengths or min(map(min, file.lengths)) < 1:
        raise UsageError(f"{path}: lengths must be pairs of whole numbers above 0")
    times = _times(path, file, rate)
    return sorted(
        (_arrival(file, i, at) for i, at in enumerate(times)), key=lambda arrival: arrival.at
    )


def _times(path: Path, file: _File, rate: str | None) -> list[float]:
    if rate is not None:
        if not isinstance(file.arrivals, dict) or rate not in file.arrivals:
            known = ", ".join(file.arrivals) if isinstance(file.arrivals, dict) else "none"
            raise UsageError(f"{path} has no arrivals at rate {rate}; it has {known}")
        return file.arrivals[rate]
    if isinstance(file.arrivals, list) and file.arrivals:
        return file.arrivals
    return [0.0] * len(file.lengths)


def _arrival(file: _File, number: int, at: float) -> Arrival:
    prompt, output = file.lengths[number % len(file.lengths)]
    prefix, shared = "", 0
    if file.prefixes:
        prefix, shared = file.prefixes[number % len(file.prefixes)]
    priority = file.priorities[number % len(file.priorities)] if file.priorities else 0
    return Arrival(prompt, output, at, prefix, shared, priority)
