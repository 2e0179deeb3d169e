"""Fields of an item of attention, int64 each.

Some queries of one row: QUERIES of them from TOKEN of the step and POSITION of the row on, over the
row's keys START to END, where START begins a page. PART is -1, or where the result goes when other
items have the row's other keys: of each query, to a part of its own from there on.

Or of several decoding rows from ROW on, one query of each, over the pages that all of them begin
with: POSITION is END, as none of them has its own key there. LEAD of a row's other items is the
part that it left there, else -1.
"""

from __future__ import annotations

ITEM_FIELDS = 8
ROW, TOKEN, QUERIES, POSITION, START, END, PART, LEAD = range(ITEM_FIELDS)
