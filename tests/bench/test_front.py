"""What surrounds the model, under load: every token in order, bounds that hold, memory given back.

The clients and the prober are processes of their own. How long answers take depends on the machine
and is for the measurement to say, not for a test.
"""

from __future__ import annotations

from bench.front import crowd, streams


def test_no_token_is_lost_or_out_of_order() -> None:
    """The report ends in SystemExit when one is; each stream has one of fifty texts."""
    found = streams.report(100, 64, rate=0.0)
    assert [run["right"] for run in found["runs"]] == [100, 100]


def test_a_crowd_is_answered_or_refused() -> None:
    found = crowd.report(500, 200, queue=20)
    assert found["opened"]["statuses"] == {"200": 500}
    statuses = found["queued"]["statuses"]
    assert sum(statuses.values()) == 200
    assert found["queued"]["answers"] == statuses["200"]
    assert found["queued"]["refusals_with_retry_after"] == statuses.get("429", 0)
    assert found["kb_per_connection"] < 40
    assert found["mb_left"] < 20
