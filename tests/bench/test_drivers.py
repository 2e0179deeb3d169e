"""What the drivers share: measuring, process trees, and the account of who used the cores."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import types

import pytest
from bench.peers import measure as m
from bench.peers.machine import CpuClock, read_stat
from bench.peers.processes import DRIVERS, PROMPTS, ROOT, read_figures


class Fake:
    """Counts what it was asked; a token takes a second of its own clock."""

    def __init__(self, short=0):
        self.asked = []
        self.short = short
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def generate(self, prompts, num_tokens):
        self.asked.append((len(prompts), num_tokens))
        self.now += len(prompts) * num_tokens
        return [[0] * (num_tokens - self.short) for _ in prompts]

    def forget(self):
        self.asked.append("forget")


def measured(fake, monkeypatch, **changes):
    clock = types.SimpleNamespace(perf_counter=fake.perf_counter, time=time.time)
    monkeypatch.setattr(m, "time", clock)
    given = {"prompts": PROMPTS, "started": 0.0, "threads": 2, "requests": 3, "parts": m.PARTS}
    args = argparse.Namespace(**(given | changes))
    return m.measure(args, lambda: fake, engine="fake", version="1", can=m.PARTS)


def test_every_measurement_starts_without_cached_prefixes(monkeypatch):
    fake = Fake()
    figures = measured(fake, monkeypatch)
    assert fake.asked[0] == (1, 1)  # the first token, which ends the start
    assert fake.asked[1::2] == ["forget"] * 7
    assert fake.asked[2::2] == [(1, 1)] * 4 + [(1, 129), (3, 128), (3, 128)]
    assert figures.batch_out_tok_s > 0 and figures.pss_mb > 1


def test_only_the_parts_asked_for_are_measured(monkeypatch):
    figures = measured(Fake(), monkeypatch, parts=["single"])
    assert figures.ttft_ms is not None
    assert figures.batch_out_tok_s is figures.shared_out_tok_s is figures.pss_mb is None


def test_an_engine_that_stops_early_is_no_result(monkeypatch):
    class Short(Fake):
        def generate(self, prompts, num_tokens):
            return [[0] * min(num_tokens, 100) for _ in prompts]

    with pytest.raises(SystemExit, match="asked for 129 tokens, got"):
        measured(Short(), monkeypatch)


def test_the_tree_holds_children():
    alone = m.tree_pss_mb(os.getpid())
    code = "x = bytearray(64 << 20); x[::4096] = b'1' * len(x[::4096]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert m.tree_pss_mb(os.getpid()) > alone + 60
        child.communicate(b"\n")


STAT = "cpu  100 20 30 4000 50 6 7 80 0 0\ncpu0 1 1 1 1\n"


def test_busy_and_stolen_time_are_read_from_the_first_line():
    assert read_stat(STAT, 100.0) == (1.63, 0.8)


def test_foreign_cores_leave_out_this_run():
    before = CpuClock(wall=0.0, busy=100.0, stolen=1.0, children=10.0)
    later = CpuClock(wall=10.0, busy=118.0, stolen=2.0, children=25.0)
    assert before.foreign_cores(later) == 0.4
    assert before.foreign_cores(CpuClock(10.0, 100.0, 1.0, 30.0)) == 0.0  # clocks differ a little


def test_the_clock_of_this_machine_goes_forward():
    before = CpuClock.now()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert CpuClock.now().children > before.children


ORPHANS = """
import subprocess, sys
from bench.peers.machine import CpuClock, adopt_orphans, end_children
from bench.peers.measure import children_of
adopt_orphans()
busy = "n = 3_000_000\\nwhile True: n += sum(range(n)) * 0\\n"
orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"
before = CpuClock.now()
subprocess.run([sys.executable, "-c", orphan], check=True)
[pid] = children_of(__import__("os").getpid())
stat = f"/proc/{pid}/stat"
while int(open(stat).read().rpartition(")")[2].split()[11]) < 20:
    pass
end_children()
print(children_of(__import__("os").getpid()), CpuClock.now().children - before.children >= 0.2)
"""


def test_what_a_driver_leaves_behind_is_ended_and_counted():
    command = [sys.executable, "-c", ORPHANS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


@pytest.mark.parametrize(
    ("code", "out", "err", "found"),
    [
        (0, 'noise\n{"engine": "x"}\n', "", {"engine": "x"}),
        (1, "", "Traceback\nboom\n", {"failed": "exit code 1: boom"}),
        (0, "", "", {"failed": "exit code 0: no message"}),
    ],
)
def test_the_last_line_is_the_result(code, out, err, found):
    assert read_figures(subprocess.CompletedProcess([], code, out, err)) == found


def test_every_driver_exists_and_the_prompts_are_the_workload():
    for module in DRIVERS.values():
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))
    assert len(prompts["main"]) == len(prompts["shared"]) == 64
    assert sum(len(prompt["ids"]) for prompt in prompts["main"]) == 11391
    assert len(prompts["long512"]["ids"]) == 512
