"""A step's calls in one: every thread goes through all, and waits for the others where it must.

The program has four int64 for each call: the body's address, its arguments' address, whether all
threads take part in it (else the first does), and whether they meet after it. Nothing of Python
runs between two calls, and no thread goes to sleep there.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels.memory import get_i64, set_i64
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, alone, take, together
from inferd_cpu_numba.kernels.vectors import I32, I64

CALL_FIELDS = 4
BODY, FRAME, SHARED, MEET = range(CALL_FIELDS)
# ARRIVED is a counter; TEAM and GIVE_WAY are omp_get_num_threads and sched_yield
PROGRAM, CALLS, ARRIVED, TEAM, GIVE_WAY = range(FIRST, FIRST + 5)
PLAY = "5q"
PATIENCE = 20_000  # looks at the counter before a core is left to somebody else


@intrinsic
def _arrive(_, address):
    """As `take`, and what this thread wrote before is seen by who sees the number."""

    def build(context, b, signature, args):
        counter = b.inttoptr(args[0], I64.as_pointer())
        return b.atomic_rmw("add", counter, ir.Constant(I64, 1), "acq_rel")

    return types.int64(types.int64), build


@intrinsic
def _arrived(_, address):
    def build(context, b, signature, args):
        return b.load_atomic(b.inttoptr(args[0], I64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), build


@intrinsic
def _ask(_, function):
    """An `int function(void)`."""

    def build(context, b, signature, args):
        kind = ir.FunctionType(I32, [])
        return b.sext(b.call(b.inttoptr(args[0], kind.as_pointer()), []), I64)

    return types.int64(types.int64), build


@njit(inline="always")
def meet(a, others):
    """Until `others` have arrived."""
    counter, looks = a + ARRIVED * 8, 0
    _arrive(counter)
    while _arrived(counter) < others:
        looks += 1
        if looks > PATIENCE:
            _ask(get_i64(a, GIVE_WAY))


def make_play() -> Body:
    def play(a):
        first, met = take(a + THREAD) == 0, 0
        team = _ask(get_i64(a, TEAM))
        for number in range(get_i64(a, CALLS)):
            call = get_i64(a, PROGRAM) + number * CALL_FIELDS * 8
            if first or get_i64(call, SHARED):
                alone(get_i64(call, BODY), get_i64(call, FRAME))
            if get_i64(call, MEET):
                met += team
                meet(a, met)

    return play


def run(launcher, body, threads, a):
    """All counters begin at zero."""
    set_i64(a, ITEM // 8, 0)
    set_i64(a, THREAD // 8, 0)
    set_i64(a, ARRIVED, 0)
    for number in range(get_i64(a, CALLS)):
        frame = get_i64(get_i64(a, PROGRAM) + number * CALL_FIELDS * 8, FRAME)
        set_i64(frame, ITEM // 8, 0)
        set_i64(frame, THREAD // 8, 0)
    together(launcher, body, threads, a)
