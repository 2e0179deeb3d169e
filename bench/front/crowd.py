"""Many connections that stay open, and more requests than may wait.

    python -m bench.front.crowd [--connections 10000] [--requests 2000] [--queue 1500]

Memory is the front end's PSS: before, with all connections open, and after they have gone. A first
crowd of a tenth comes and goes before, so that what is imported and kept once is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from bench.front.host import Process, serving

ROWS, TOKENS, TOKENS_PER_SECOND = 64, 16, 100
SETTLE_S = 5.0  # until the server has noticed that its clients are gone, and given back


def report(connections: int, requests: int, queue: int) -> dict[str, Any]:
    """Figures of one crowd."""
    flags = ["--max-num-seqs", str(ROWS), "--max-num-queued-reqs", str(queue)]
    flags += ["--models_scripted.tokens-per-second", str(TOKENS_PER_SECOND)]
    with (
        serving(TOKENS, *flags) as front,
        Process("bench.front.client", str(front.port), front.model) as clients,
        Process("bench.front.probe", str(front.port)) as prober,
    ):
        clients.ask(do="open", count=connections // 10)
        clients.ask(do="queue", count=requests // 10, tokens=TOKENS)
        clients.ask(do="close")
        time.sleep(SETTLE_S)
        before = front.pss_kb()
        prober.ask(do="lap")
        cpu = front.cpu_s()
        opened = clients.ask(do="open", count=connections)
        health = {"opening": prober.ask(do="lap")}
        while_open = front.pss_kb()
        cpu_open = front.cpu_s() - cpu
        queued = clients.ask(do="queue", count=requests, tokens=TOKENS)
        health["queued"] = prober.ask(do="lap")
        clients.ask(do="close")
        time.sleep(SETTLE_S)
        after = front.pss_kb()
        health["all"] = prober.ask(do="stop")
    return {
        "opened": opened,
        "queued": queued,
        "front_cpu_ms_per_connection": round(cpu_open / connections * 1000, 2),
        "kb_per_connection": round((while_open - before) / connections, 1),
        "mb_left": round((after - before) / 1024, 1),
        "health_ms": health,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--queue", type=int, default=1_500, help="--max-num-queued-reqs")
    arguments = parser.parse_args()
    print(json.dumps(report(arguments.connections, arguments.requests, arguments.queue), indent=1))


if __name__ == "__main__":
    main()
