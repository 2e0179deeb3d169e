"""Fields of an item of attention, int64 each.

Some queries of one row: QUERIES of them from TOKEN of the step and POSITION of the row on, over the
row's keys START to END, where START begins a page. PART is -1, or where the result goes when other
items have the row's other keys.
"""

from __future__ import annotations

ITEM_FIELDS = 7
ROW, TOKEN, QUERIES, POSITION, START, END, PART = range(ITEM_FIELDS)
