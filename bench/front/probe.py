"""How long /health takes, asked by a process of its own: commands as those of client.py.

    {"do": "lap"}     percentiles of the milliseconds since the last lap
    {"do": "stop"}    of all laps

One connection asks every 20 ms.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

from bench.front.replies import percentiles

INTERVAL_S = 0.02


class Prober:
    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._found: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.wait(INTERVAL_S):
            began = time.monotonic()
            connection.request("GET", "/health")
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 200, reply.status
            self._found.append(time.monotonic() - began)
        connection.close()

    def lap(self) -> list[float]:
        found, self._found = self._found, []
        return found

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def main(port: int) -> None:
    prober, laps = Prober(port), list[float]()
    for line in sys.stdin:
        if json.loads(line)["do"] == "lap":
            found = prober.lap()
            laps += found
            print(json.dumps({"count": len(found), **percentiles(found)}), flush=True)
        else:
            prober.stop()
            laps += prober.lap()
            print(json.dumps({"count": len(laps), **percentiles(laps)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
