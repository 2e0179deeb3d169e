"""Command-line flags derived from the option models, so that there is one source of names.

A value comes from the first of: flag, INFERD_<NAME> in the environment, [engine] in inferd.toml (or
the file of --config), default. For the option `bits` of the plugin `awq` these are --awq.bits,
INFERD_AWQ__BITS and [plugins.awq].
"""

from __future__ import annotations

import argparse
import difflib
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from inferd.config.base import Options
from inferd.config.engine import SECTIONS, EngineConfig
from inferd.config.file import chosen_words, read_file
from inferd.config.plugins import checked_options
from inferd.errors import UsageError

SKIPPED = {"model", "plugin_options"}  # positional, or given per plugin


class Plugins(Protocol):
    """What flags need to know of the plugins; the Host."""

    @property
    def resolved(self) -> str:
        """Words that select in a child process what is loaded here."""

    def option_models(self) -> dict[str, type[Options]]:
        """By plugin, for those that take options."""


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per option, in the sections of EngineConfig and of plugins, and --config.

    A parser of the command line knows the plugins: `parser.plugins`.
    """
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; default inferd.toml"
    )
    for section, kind in SECTIONS.items():
        group = parser.add_argument_group(f"{section} options")
        for name, field in kind.model_fields.items():
            if name not in SKIPPED:
                _add_flag(group, name, field)
    plugins: Plugins | None = getattr(parser, "plugins", None)
    models = plugins.option_models() if plugins else {}
    parser.set_defaults(selected_plugins=plugins, option_models=models)
    for plugin, model in models.items():
        group = parser.add_argument_group(f"options of the plugin {plugin}")
        for name, field in model.model_fields.items():
            _add_flag(group, name, field, prefix=f"{plugin}.")


def _add_flag(group: Any, name: str, field: FieldInfo, prefix: str = "") -> None:
    flag = f"--{prefix}{name.replace('_', '-')}"
    default = "" if field.default in (None, {}) else f" (default: {field.default})"
    shown = (field.description or "").replace("%", "%%") + default
    options: dict[str, Any] = {"dest": prefix + name, "default": None, "help": shown}
    plain = _plain_type(field.annotation)
    if plain is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif get_origin(plain) is Literal:
        group.add_argument(flag, choices=get_args(plain), **options)
    elif prefix + name == "plugins":
        group.add_argument(flag, action="append", metavar="WORDS", **options)
    else:
        group.add_argument(flag, metavar=plain.__name__.upper(), **options)


def _plain_type(annotation: Any) -> Any:
    """The type without None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def engine_config(args: argparse.Namespace, model: str) -> EngineConfig:
    """Raises UsageError for a bad value, naming the option."""
    content = read_file(getattr(args, "config", None))
    file = content.get("engine", {})
    _check_names(file)
    chosen: dict[str, Any] = {"plugin_options": _plugin_options(args, content)}
    for kind in SECTIONS.values():
        for name in kind.model_fields.keys() - SKIPPED:
            value = _given(args, name, file)
            if value is not None:
                chosen[name] = value
    selected: Plugins | None = getattr(args, "selected_plugins", None)
    if selected is not None:
        chosen["plugins"] = selected.resolved
    return EngineConfig.of(model, **chosen)


def _given(args: argparse.Namespace, name: str, file: Mapping[str, Any]) -> Any:
    value = getattr(args, name, None)
    if name == "plugins":
        return chosen_words(value, file)
    if value is not None:
        return value
    return os.environ.get(f"INFERD_{name.upper()}", file.get(name))


def _plugin_options(args: argparse.Namespace, content: Mapping[str, Any]) -> dict[str, Any]:
    """Per plugin, what was given, checked by the plugin's model and as JSON has it."""
    models: dict[str, type[Options]] = getattr(args, "option_models", {})
    sections: dict[str, Any] = content.get("plugins", {})
    options = {name: dict(section) for name, section in sections.items() if name not in models}
    for plugin, model in models.items():
        given = dict(sections.get(plugin, {}))
        for name in model.model_fields:
            value = getattr(args, f"{plugin}.{name}", None)
            env = f"INFERD_{plugin}__{name}".upper().replace("-", "_")
            value = os.environ.get(env) if value is None else value
            if value is not None:
                given[name] = value
        checked = checked_options(plugin, model, given)
        options[plugin] = checked.model_dump(mode="json", exclude_unset=True)
    return options


def _check_names(file: Mapping[str, Any]) -> None:
    """Raises UsageError for an option in [engine] that does not exist."""
    known = {name for kind in SECTIONS.values() for name in kind.model_fields} - SKIPPED
    for name in file:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"[engine] has no option {name!r}{hint}\n  known: {', '.join(sorted(known))}"
            )
