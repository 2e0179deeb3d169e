"""Which fields ModelContract leaves to the tests of inferd's rotary layer."""

from __future__ import annotations

from inferd.testing.fields import Recorded
from inferd.testing.model_fields import _ropes

KINDS = {kind: {"rope_theta": 500.0} for kind in ("full_attention", "sliding_attention")}


def test_ropes_by_kind_of_layer_read_no_other_field():
    """Fields that are read here need no mutation of their own."""
    seen: set[str] = set()
    ropes = list(_ropes(Recorded({"hidden_act": "gelu", "rope_parameters": KINDS}, seen)))
    assert [rope["rope_parameters"].get("rope_theta") for rope in ropes[1:]] == [500.0, 500.0]
    assert "hidden_act" not in seen
