"""Host: finds the installed plugins, loads the selected ones, and fills the Catalog from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions

import pluggy

from inferd.errors import PluginError
from inferd.host.catalog import Catalog
from inferd.host.selection import ESSENTIALS, Selection
from inferd.plugin import API, hookspecs

GROUP = "inferd"


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry point and the distribution it came with."""

    name: str
    entry_point: EntryPoint
    distribution: str
    version: str


def discover() -> dict[str, Installed]:
    """Every installed plugin by name, sorted; raises PluginError when two claim one name."""
    found: dict[str, Installed] = {}
    for dist in distributions():
        for point in dist.entry_points.select(group=GROUP):
            name = dist.metadata["Name"]
            rival = found.get(point.name)
            if rival is not None and rival.distribution != name:
                raise PluginError(
                    f"two distributions offer a plugin named {point.name!r}: "
                    f"{rival.distribution} and {name}; uninstall one: pip uninstall {name}"
                )
            found[point.name] = Installed(point.name, point, name, dist.version)
    return dict(sorted(found.items()))


class Host:
    """Built once per process. `resolved` rebuilds the same Host in a child process.

    Raises PluginError when a plugin the user named, or an essential one, cannot be loaded; another
    one that fails is listed in `failures` and left out.
    """

    def __init__(self, selection: Selection | None = None) -> None:
        self.selection = selection or Selection()
        self.installed = discover()
        self.failures: dict[str, str] = {}
        self._manager = pluggy.PluginManager("inferd")
        self._manager.add_hookspecs(hookspecs)
        chosen = self.selection.resolve(self.installed)
        for name in sorted(chosen):
            self._load(self.installed[name])
        self.loaded = frozenset(chosen - self.failures.keys())
        self.catalog = Catalog(self._manager)

    @classmethod
    def from_selection(cls, words: str) -> Host:
        """From the text of `--plugins`; `all` gives way to INFERD_PLUGINS when that is set."""
        if words == "all":
            words = os.environ.get("INFERD_PLUGINS", words)
        return cls(Selection.parse(words))

    @property
    def resolved(self) -> str:
        """Words that select exactly what was loaded here."""
        return ",".join(["none", *sorted(self.loaded - ESSENTIALS)])

    def plugin_module(self, name: str) -> object:
        """The loaded plugin object."""
        return self._manager.get_plugin(name)

    def _load(self, plugin: Installed) -> None:
        try:
            module = plugin.entry_point.load()
            _check_api(module)
            self._manager.register(module, name=plugin.name)
            self._manager.check_pending()
        except Exception as error:
            self._fail(plugin, error)

    def _fail(self, plugin: Installed, error: Exception) -> None:
        if self._manager.has_plugin(plugin.name):
            self._manager.unregister(name=plugin.name)
        reason = f"{type(error).__name__}: {error}"
        if plugin.name in self.selection.named | ESSENTIALS:
            raise PluginError(
                f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version}) "
                f"could not be loaded: {reason}\n"
                f"  go on without it: --plugins no:{plugin.name}"
            ) from error
        self.failures[plugin.name] = reason


def _check_api(module: object) -> None:
    wanted = getattr(module, "INFERD_API", API)
    if wanted > API:
        raise PluginError(
            f"needs plugin API {wanted}, this inferd offers {API}; pip install --upgrade inferd"
        )
