"""A plugin's own options: the model that its `plugin.py` names as INFERD_OPTIONS."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from inferd.errors import PluginError, UsageError
from inferd.plugin.registry import import_target

if TYPE_CHECKING:
    from inferd.config.base import Options


def load_model(plugin: str, module: object) -> type[Options] | None:
    """What INFERD_OPTIONS = "module:Model" names, or None.

    Raises PluginError when it cannot be imported or is no model of options.
    """
    target = getattr(module, "INFERD_OPTIONS", None)
    if target is None:
        return None
    from inferd.config.base import Options

    try:
        model = import_target(target)
    except Exception as error:  # whatever the plugin's module raises while it is imported
        raise PluginError(
            f"plugin {plugin!r} names its options as INFERD_OPTIONS = {target!r}, which cannot be "
            f"loaded: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(model, type) and issubclass(model, Options)):
        raise PluginError(
            f"plugin {plugin!r}: INFERD_OPTIONS = {target!r} is not a subclass of "
            "inferd.config.base.Options"
        )
    return model


def refuse_strangers(options: Mapping[str, Mapping[str, Any]], installed: Collection[str]) -> None:
    """Raises UsageError for options of a plugin that is not installed."""
    for name in options:
        if name not in installed:
            raise UsageError(
                f"options are given for the plugin {name!r}, which is not installed\n"
                f"  installed: {', '.join(installed)}"
            )
