"""Which schemas xgrammar enforces in full. What it reads over is refused here, by JSON pointer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from inferd.errors import RequestError
from inferd_grammar_xgrammar.keywords import (
    ALONE,
    DEFINITIONS,
    FREE,
    OF_TYPE,
    RIVALS,
    is_kept,
    is_of,
    types_of,
)

MAX_DEPTH = 32
MAX_NODES = 500
MOST_PLACES = 8


def refuse_unenforced(schema: str) -> None:
    """Raises RequestError, naming up to eight places, for a schema that would not be kept to."""
    try:
        root = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"json is not a JSON schema: {error}") from None
    reader = _Reader(root)
    reader.node(root, "", 0)
    if reader.places:
        places = ", ".join(reader.places[:MOST_PLACES])
        raise _refusal(f"the schema asks for what cannot be enforced: {places}")


def _refusal(text: str) -> RequestError:
    return RequestError(text, "structured_outputs")


class _Reader:
    """`places` are JSON pointers to what cannot be enforced."""

    def __init__(self, root: Any) -> None:
        self.places: list[str] = []
        self._root = root
        self._num_nodes = 0

    def node(self, node: Any, path: str, depth: int) -> None:
        """A schema at `path`, and what is in it."""
        self._num_nodes += 1
        if depth > MAX_DEPTH or self._num_nodes > MAX_NODES:
            raise _refusal(f"the schema is larger than {MAX_NODES} parts or {MAX_DEPTH} levels")
        if node is True:
            return
        if not isinstance(node, dict):
            self.places.append(path or "/")
            return
        for name in DEFINITIONS:
            self._nodes(node.get(name, {}), f"{path}/{name}", depth)
        keys = [key for key in node if key not in FREE and key not in DEFINITIONS]
        first = next((key for key in ALONE if key in node), None)
        if first is not None:
            self._alone(node, keys, first, path, depth)
        elif keys:
            self._typed(node, keys, path, depth)

    def _refuse(self, path: str, keys: Iterable[str]) -> None:
        self.places += [f"{path}/{_escaped(key)}" for key in keys]

    def _nodes(self, nodes: Any, path: str, depth: int) -> None:
        """Several, by name or in a list."""
        pairs = nodes.items() if isinstance(nodes, dict) else enumerate(nodes)
        for name, node in pairs:
            self.node(node, f"{path}/{_escaped(str(name))}", depth + 1)

    def _alone(
        self, node: dict[str, Any], keys: list[str], key: str, path: str, depth: int
    ) -> None:
        value = node[key]
        beside = {key, "type"} if key in ("enum", "const") else {key}
        self._refuse(path, (other for other in keys if other not in beside))
        if key == "$ref":
            fits = isinstance(value, str) and _resolves(self._root, value)
        elif key in ("anyOf", "allOf"):
            fits = isinstance(value, list) and (key == "anyOf" or len(value) == 1)
            if fits:
                self._nodes(value, f"{path}/{key}", depth)
        else:
            fits = key == "const" or isinstance(value, list)
            values = value if key == "enum" and fits else [value]
            fits = fits and all(is_of(one, types) for one in values for types in [types_of(node)])
        if not fits:
            self._refuse(path, [key])

    def _typed(self, node: dict[str, Any], keys: list[str], path: str, depth: int) -> None:
        types = types_of(node)
        if not types or not types <= OF_TYPE.keys():
            self._refuse(path, ["type"] if "type" in node else keys)
            return
        known = frozenset[str]().union(*(OF_TYPE[one] for one in types))
        unknown = [key for key in keys if key not in known and key != "type"]
        self._refuse(path, unknown)
        for stronger, weaker in RIVALS:
            if stronger in node:
                self._refuse(path, (key for key in weaker if key in node))
        self._refuse(path, (key for key in keys if key in known and not is_kept(key, node)))
        self._inner(node, path, depth)

    def _inner(self, node: dict[str, Any], path: str, depth: int) -> None:
        for key in ("properties", "patternProperties", "prefixItems"):
            found = node.get(key, {})
            if isinstance(found, dict | list):
                self._nodes(found, f"{path}/{key}", depth)
        for key in ("items", "additionalProperties"):
            if node.get(key, False) is not False:
                self.node(node[key], f"{path}/{key}", depth + 1)
        names = node.get("propertyNames")
        if isinstance(names, dict):
            self.node({"type": "string", **names}, f"{path}/propertyNames", depth + 1)


def _resolves(root: Any, reference: str) -> bool:
    """Whether a reference leads to a place in this schema."""
    start, *names = reference.split("/")
    found = root
    for name in (one.replace("~1", "/").replace("~0", "~") for one in names):
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return start == "#"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
