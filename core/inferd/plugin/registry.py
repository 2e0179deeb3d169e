"""Registry: a named table of lazily imported implementations of one contract."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Generic, Literal, TypeVar, cast, get_args

from inferd.errors import PluginError

T = TypeVar("T")

Priority = Literal["reference", "portable", "tuned"]
PRIORITIES: tuple[str, ...] = get_args(Priority)  # lowest first


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration: who offers what, under which name."""

    name: str
    target: str  # "module:attr", imported by load()
    plugin: str
    summary: str = ""
    priority: Priority = "portable"

    def load(self) -> object:
        """Import the target; raises PluginError, naming plugin and target, when that fails."""
        module, _, attr = self.target.partition(":")
        try:
            return getattr(import_module(module), attr)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"plugin {self.plugin!r} registers {self.name!r} as {self.target}, "
                f"which cannot be loaded: {error}"
            ) from error


class Registry(Generic[T]):
    """Filled by hooks at start, read-only afterwards. `T` is the contract of the kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.owner = "core"  # set by the host before each plugin's hook runs
        self._entries: dict[str, Entry] = {}
        self._replacing: dict[str, str] = {}  # name -> plugin that replaced it

    def add(
        self,
        name: str,
        target: str,
        *,
        summary: str = "",
        priority: Priority = "portable",
        replaces: str | None = None,
    ) -> None:
        """Offer "module:attr" under `name`.

        `replaces` takes the place of another plugin's entry of that name, on purpose. Raises
        PluginError for a malformed target, an unknown priority, or a name that is taken.
        """
        if target.count(":") != 1 or not all(target.split(":")):
            raise PluginError(
                f"plugin {self.owner!r}: {self.kind} {name!r} needs a target of the form "
                f"'module:attr', got {target!r}"
            )
        if priority not in PRIORITIES:
            raise PluginError(
                f"plugin {self.owner!r}: {self.kind} {name!r} has priority {priority!r}; "
                f"known: {', '.join(PRIORITIES)}"
            )
        self._refuse_rival(name, replaces)
        if replaces is not None:
            self._entries.pop(replaces, None)
            self._replacing[replaces] = self.owner
        self._entries[name] = Entry(name, target, self.owner, summary, priority)

    def _refuse_rival(self, name: str, replaces: str | None) -> None:
        rival = self._entries.get(name)
        if rival is None or rival.plugin == self.owner or replaces == name:
            return
        raise PluginError(
            f"{self.kind} {name!r} is registered by both {rival.plugin!r} and {self.owner!r}; "
            f"keep one with --plugins no:{rival.plugin} or --plugins no:{self.owner}"
        )

    def __iter__(self) -> Iterator[Entry]:
        """Entries by falling priority, then by name."""
        return iter(
            sorted(self._entries.values(), key=lambda e: (-PRIORITIES.index(e.priority), e.name))
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> list[str]:
        return sorted(self._entries)

    def entry(self, name: str) -> Entry:
        """Raises PluginError with the nearest names when `name` is not registered."""
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self._entries, 1)
        hint = f" did you mean {near[0]!r}?" if near else ""
        raise PluginError(
            f"unknown {self.kind} {name!r};{hint} registered: {', '.join(self.names) or 'none'}; "
            "`inferd plugins` lists what is installed"
        )

    def load(self, name: str) -> type[T]:
        """Import and return the implementation registered as `name`."""
        return cast("type[T]", self.entry(name).load())
