"""Registry: a named table of lazily imported implementations of one contract."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar, cast, get_args

from inferd.errors import PluginError

T = TypeVar("T")

Priority = Literal["reference", "portable", "tuned"]
PRIORITIES: tuple[str, ...] = get_args(Priority)  # lowest first


class NameTaken(PluginError):
    """Two plugins claim one name: the user's to settle, no plugin's own failure."""


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
        try:
            return import_target(self.target)
        except Exception as error:  # whatever the plugin's module raises while it is imported
            raise PluginError(
                f"plugin {self.plugin!r} registers {self.name!r} as {self.target}, "
                f"which cannot be loaded: {type(error).__name__}: {error}"
            ) from error


def import_target(target: str) -> object:
    """What "module:attr" names; raises what importing raises."""
    module, _, attr = target.partition(":")
    return getattr(import_module(module), attr)


class Registry(Generic[T]):
    """Filled by hooks at start, read-only afterwards. `T` is the contract of the kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.owner = "core"  # set by the host before each plugin's hook runs
        self.options_of: Callable[[str], object | None] = lambda _: None  # by plugin; set likewise
        self._entries: dict[str, Entry] = {}
        self._replaced: dict[str, str] = {}  # name -> plugin that took its place
        self._loaded: dict[object, Entry] = {}

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
        if replaces is not None:
            self._replace(replaces)
        if self._replaced.get(name, self.owner) != self.owner:
            return  # its replacement was registered before it
        self._refuse_rival(name)
        self._entries[name] = Entry(name, target, self.owner, summary, priority)

    def _replace(self, name: str) -> None:
        self._refuse(name, self._replaced.get(name, self.owner), "replaced")
        self._replaced[name] = self.owner
        self._entries.pop(name, None)

    def _refuse_rival(self, name: str) -> None:
        rival = self._entries.get(name)
        if rival is not None and rival.plugin == self.owner:
            raise PluginError(f"plugin {self.owner!r} registers {self.kind} {name!r} twice")
        if rival is not None:
            self._refuse(name, rival.plugin, "registered")

    def _refuse(self, name: str, rival: str, done: str) -> None:
        if rival == self.owner:
            return
        raise NameTaken(
            f"{self.kind} {name!r} is {done} by both {rival!r} and {self.owner!r}; "
            f"keep one with --plugins no:{rival} or --plugins no:{self.owner}"
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
        entry = self.entry(name)
        implementation = entry.load()
        self._loaded[implementation] = entry
        return cast("type[T]", implementation)

    def make(self, implementation: type[T], *args: Any, by: str = "") -> T:
        """An object of an implementation that `load` returned, by its constructor or by `by`.

        One that takes an argument `options` gets its plugin's, checked; another is not asked to.
        """
        maker: Callable[..., T] = getattr(implementation, by) if by else implementation
        entry = self._loaded.get(implementation)
        if entry is None or "options" not in inspect.signature(maker).parameters:
            return maker(*args)
        options = self.options_of(entry.plugin)
        return maker(*args) if options is None else maker(*args, options=options)
