"""Many streams at once of tokens that cost nothing: what the front end takes for each.

    python -m bench.front.streams [--streams 1000] [--tokens 128] [--tokens-per-second 0] [--json]

The processor time of the front-end process is what counts; it does not change with what else the
machine does. A run of half the tokens tells requests and tokens apart: the difference is tokens.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench.front.host import SCRIPTS, Front, Process, script_text, serving


def measure(front: Front, clients: Process, streams: int, tokens: int) -> dict[str, Any]:
    texts = [script_text(number, tokens) for number in range(SCRIPTS)]
    before = front.cpu_s()
    found = clients.ask(do="stream", count=streams, tokens=tokens, texts=texts)
    return found | {"tokens": tokens, "front_cpu_s": round(front.cpu_s() - before, 3)}


def report(streams: int, tokens: int, rate: float) -> dict[str, Any]:
    """Raises SystemExit when a token was lost or out of order."""
    flags = ["--models_scripted.tokens-per-second", str(rate), "--max-num-seqs", str(streams)]
    with (
        serving(tokens, *flags) as front,
        Process("bench.front.client", str(front.port), front.model) as clients,
    ):
        measure(front, clients, min(streams, 50), 16)  # warm
        half = measure(front, clients, streams, tokens // 2)
        full = measure(front, clients, streams, tokens)
    for run in (half, full):
        if run["right"] != streams:
            raise SystemExit(f"{streams - run['right']} streams are wrong: {run['wrong']}")
    extra = streams * (tokens - tokens // 2)
    per_token = (full["front_cpu_s"] - half["front_cpu_s"]) / extra
    per_request = full["front_cpu_s"] / streams - per_token * tokens
    return {
        "us_per_token": round(per_token * 1e6, 1),
        "us_per_request": round(per_request * 1e6, 1),
        "tokens_per_second": round(streams * tokens / full["seconds"]),
        "runs": [half, full],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument(
        "--tokens-per-second", type=float, default=0.0, help="of each stream; 0: as fast as it goes"
    )
    arguments = parser.parse_args()
    found = report(arguments.streams, arguments.tokens, arguments.tokens_per_second)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
