"""Host: finds the installed plugins, loads the selected ones, and fills the Catalog from them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from typing import TYPE_CHECKING, Any

import pluggy

from inferd.errors import PluginError, UsageError
from inferd.host.catalog import Catalog, HookFailed
from inferd.host.options import load_model, refuse_strangers
from inferd.host.selection import ESSENTIALS, Selection
from inferd.plugin import API, hookspecs

if TYPE_CHECKING:
    from inferd.config.base import Options
    from inferd.config.plugins import PluginOptions

GROUP = "inferd"


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry point and the distribution it came with."""

    name: str
    entry_point: EntryPoint
    distribution: str
    version: str


def discover() -> dict[str, Installed]:
    """Every installed plugin by name, sorted; raises PluginError when two claim one name.

    A distribution found twice counts where it is imported from: first on sys.path.
    """
    found: dict[str, Installed] = {}
    seen: set[str] = set()
    for dist in distributions():
        points = dist.entry_points.select(group=GROUP)
        if not points:
            continue
        metadata = dist.metadata  # once: it is parsed anew each time
        name = metadata["Name"]
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        for point in points:
            rival = found.get(point.name)
            if rival is not None:
                raise PluginError(
                    f"two distributions offer a plugin named {point.name!r}: "
                    f"{rival.distribution} and {name}\n"
                    f"  uninstall one: pip uninstall {rival.distribution}, "
                    f"or pip uninstall {name}"
                )
            found[point.name] = Installed(point.name, point, name, metadata["Version"])
    return dict(sorted(found.items()))


class Host:
    """Built once per process. `resolved` rebuilds the same Host in a child process.

    `options` holds what the user chose per plugin; each plugin's own model checks it when the
    option is used. Raises PluginError when a plugin the user named, or an essential one, cannot be
    loaded, or when two plugins claim one name; another one that fails is listed in `failures` and
    left out.
    """

    def __init__(
        self,
        selection: Selection | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.selection = selection or Selection()
        self.installed = discover()
        self.failures: dict[str, str] = {}
        self._options = options or {}
        refuse_strangers(self._options, self.installed)
        self._manager = pluggy.PluginManager("inferd")
        self._manager.add_hookspecs(hookspecs)
        chosen = self.selection.resolve(self.installed)
        for name in sorted(chosen):
            self._load(self.installed[name])
        self.catalog = self._fill()
        self.loaded = frozenset(chosen - self.failures.keys())

    @classmethod
    def from_selection(
        cls, words: str, options: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Host:
        """From the text of `--plugins`; `all` gives way to INFERD_PLUGINS when that is set.

        Raises UsageError for options that their plugin refuses.
        """
        if words == "all":
            words = os.environ.get("INFERD_PLUGINS", words)
        host = cls(Selection.parse(words), options)
        for name in host.loaded & host._options.keys():
            host.options_of(name)
        return host

    @classmethod
    def of(cls, plugins: PluginOptions) -> Host:
        """What a configuration selects, with the options it holds."""
        return cls.from_selection(plugins.plugins, plugins.plugin_options)

    @property
    def resolved(self) -> str:
        """Words that select exactly what was loaded here."""
        return ",".join(["none", *sorted(self.loaded - ESSENTIALS)])

    def option_models(self) -> dict[str, type[Options]]:
        """By name, the loaded plugins that take options; imports their models.

        Raises PluginError for one that cannot be imported.
        """
        models = {name: self.option_model(name) for name in sorted(self.loaded)}
        return {name: model for name, model in models.items() if model is not None}

    def option_model(self, name: str) -> type[Options] | None:
        """Of a loaded plugin; raises PluginError when it cannot be imported."""
        return load_model(name, self.plugin_module(name))

    def options_of(self, name: str) -> Options | None:
        """A loaded plugin's options, checked; None for one without a model.

        Raises UsageError, naming the option, for a value that its model refuses.
        """
        model = self.option_model(name)
        given = self._options.get(name, {})
        if model is None:
            if given:
                raise UsageError(f"plugin {name!r} takes no options, got {', '.join(given)}")
            return None
        from inferd.config.plugins import checked_options

        return checked_options(name, model, given)

    def plugin_module(self, name: str) -> object:
        """The loaded plugin object."""
        return self._manager.get_plugin(name)

    def _load(self, plugin: Installed) -> None:
        try:
            module = plugin.entry_point.load()
            _check_api(module)
            self._manager.register(module, name=plugin.name)
            self._manager.check_pending()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin that calls sys.exit() ends nothing but itself
            self._fail(plugin, error)

    def _fill(self) -> Catalog:
        """Again from the start when a hook fails, so that nothing of its plugin remains."""
        while True:
            try:
                return Catalog(self._manager, self.options_of)
            except HookFailed as error:
                self._fail(self.installed[error.plugin], error.reason)

    def _fail(self, plugin: Installed, error: BaseException) -> None:
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
