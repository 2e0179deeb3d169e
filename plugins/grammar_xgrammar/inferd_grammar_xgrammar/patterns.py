"""What xgrammar reads over in a regular expression without a word, and what takes it too long."""

from __future__ import annotations

import re
from math import prod

MAX_CHARS = 512  # (?:ab|cd)* 50 times takes 0.2.8 a second, 200 times more than twelve (Nov 2026)
MAX_LARK_CHARS = 4096  # a rule of 8,000 takes two seconds
MAX_REPEATS = 128  # beyond, 0.2.8 takes another path, which does not escape for JSON
MAX_PRODUCT = 4096  # likewise: of repeats within repeats
GROUP = re.compile(r"\(\?(?!:)")  # look-around, names, flags
COUNT = re.compile(r"\{(\d*),?(\d*)\}")
RAW = re.compile(r'[\x00-\x1f"]|\\[\\"nrtfvbcxu0]')
"""Characters that a JSON string must escape, which a pattern would put into it as they are."""
CLASS_OR_ESCAPE = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]")
INNER_ANCHOR = re.compile(r"(?<!^)\^|\$(?!$)")


def fault_of_regex(regex: str) -> str | None:
    """Why it cannot be enforced; None if it can be, as far as this can tell."""
    if len(regex) > MAX_CHARS:
        return f"at most {MAX_CHARS} characters of a regular expression are supported"
    return _fault_of_parts(regex)


def fault_of_lark(grammar: str) -> str | None:
    """Likewise, of a grammar."""
    if len(grammar) > MAX_LARK_CHARS:
        return f"at most {MAX_LARK_CHARS} characters of a grammar are supported"
    return _fault_of_parts(grammar)


def _fault_of_parts(regex: str) -> str | None:
    if GROUP.search(regex):
        return "groups that begin with (? are not supported, but for (?:...)"
    counts = [max(int(count or 1) for count in found) for found in COUNT.findall(regex)]
    if max(counts, default=1) > MAX_REPEATS or prod(counts) > MAX_PRODUCT:
        return f"at most {MAX_REPEATS} repeats of a part are supported, {MAX_PRODUCT} in all"
    return None


def fault_of_pattern(pattern: str) -> str | None:
    """Likewise, of a `pattern` in a schema."""
    if RAW.search(pattern):
        return "characters that JSON escapes are not supported in it"
    if INNER_ANCHOR.search(CLASS_OR_ESCAPE.sub("x", pattern)):
        return "anchors are supported at its ends alone"
    return fault_of_regex(pattern)
