"""A regular expression, without look-ahead, for texts that do not begin as calls do."""

from __future__ import annotations

import re
from collections.abc import Sequence

SPACE = r" \t\r\n"
GAP = "\0"  # in a tree: white space may stand here
ANY = r"(.|\n)*"
PIECE = 16  # characters
Tree = dict[str, "Tree"]  # by the next character; an empty one is the end


def text_without(starts: Sequence[str], names: Sequence[str]) -> str:
    """What begins with none of the names in `starts`, whose parts white space may stand between."""
    tree: Tree = {}
    for name in names:
        node = tree
        for part in starts:
            for char in GAP + part.replace("{name}", name):
                node = node.setdefault(char, {})
    return _other(tree)


def _other(node: Tree) -> str:
    """Texts that do not lead to an end below the node."""
    if GAP in node:
        return f"[{SPACE}]*{_after(node[GAP], SPACE)}"
    return _after(node, "")


def _after(node: Tree, excluded: str) -> str:
    others = f"[^{excluded}{''.join(map(_in_class, node))}]{ANY}"
    ways = [way for char, child in node.items() for way in _along(char, child)]
    return f"({'|'.join([others, *ways])})?"


def _along(text: str, node: Tree) -> list[str]:
    """Those that begin with `text`, which leads to the node; where no ways part, piece by piece:
    libraries bound how deep groups may nest.
    """
    ways = []
    while len(text) < PIECE and len(node) == 1 and GAP not in node:
        ((char, child),) = node.items()
        ways.append(f"{re.escape(text)}([^{_in_class(char)}]{ANY})?")
        text, node = text + char, child
    return [*ways, f"{re.escape(text)}{_other(node)}"] if node else ways


def _in_class(char: str) -> str:
    return f"\\{char}" if char in "\\]^-[" else char
