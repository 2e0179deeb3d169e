"""inferd plugins new: a plugin that works, passes its contract and can be published as written."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from inferd import __version__
from inferd.cli.plugin_kinds import WRITTEN, Kind
from inferd.errors import UsageError
from inferd.host.catalog import KINDS
from inferd.host.host import discover

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_plugin(kind: str, name: str, into: Path) -> str:
    """Write the plugin's folder below `into`; returns what to type next.

    Raises UsageError for a kind that nothing loads, a name that cannot be one or is another
    plugin's here, a folder that is there already.
    """
    _check(kind, name)
    words = _words(WRITTEN[kind], kind, name)
    installed = discover().get(name)
    if installed is not None and installed.distribution != words["distribution"]:
        raise UsageError(
            f"{installed.distribution} is installed and offers a plugin {name!r}, which a second "
            "one could not share; choose another name"
        )
    folder = into / words["distribution"]
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another name or --into DIR")
    for path, template in _files(kind, words).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_render(template, words) if template else "", encoding="utf-8")
    return (
        f"wrote {folder}: {words['summary']}\n"
        f"  try: cd {folder} && pip install -e . && pytest\n"
        f"       inferd plugins info {name}"
    )


def _check(kind: str, name: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"there is no kind of plugin {kind!r}; kinds: {', '.join(WRITTEN)}")
    if kind not in WRITTEN:
        raise UsageError(
            f"nothing loads {kind} in this version of inferd, so a plugin of them could not work\n"
            f"  kinds that are loaded: {', '.join(WRITTEN)}"
        )
    if not NAME.fullmatch(name) or name in ("all", "none"):
        raise UsageError(
            f"{name!r} cannot name a plugin: lower case letters, digits and single underscores, "
            "beginning with a letter; not all or none"
        )


def _words(kind: Kind, hook: str, name: str) -> dict[str, str]:
    """What stands for $word in the templates."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    package = f"inferd_{kind.prefix}_{name}"
    contract_module, _, contract = kind.contract.partition(":")
    major, minor = __version__.split(".")[:2]
    return {
        "name": name,
        "kind": hook,
        "key": kind.key or name,
        "package": package,
        "distribution": package.replace("_", "-"),
        "module": kind.module,
        "Class": camel + kind.suffix,
        "attr": kind.attr or camel + kind.suffix,
        "Options": f"{camel}Options",
        "contract_module": contract_module,
        "contract": contract,
        "summary": kind.summary,
        "usage": kind.usage.replace("NAME", name),
        "low": f"{major}.{minor}",
        "high": f"{major}.{int(minor) + 1}",
        "ENV_DEVICE": f"{name.upper()}_DEVICE",
        "ENV_SCALE": f"INFERD_{name.upper()}__SCALE",
        "options": "",
    }


def _files(kind: str, words: dict[str, str]) -> dict[str, str]:
    """Path in the plugin's folder -> template; "" for an empty file."""
    package = words["package"]
    found = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{package}/__init__.py": "",
        f"{package}/py.typed": "",
        f"{package}/plugin.py": "plugin.py",
        f"{package}/{words['module']}.py": f"{kind}.py",
        "tests/test_contract.py": f"{kind}_test.py",
    }
    if _template(f"{kind}_options.py").is_file():
        found[f"{package}/options.py"] = f"{kind}_options.py"
        words["options"] = f'\nINFERD_OPTIONS = "{package}.options:{words["Options"]}"\n'
    return found


def _template(name: str) -> Path:
    return Path(__file__).parent / "templates" / f"{name}.txt"


def _render(template: str, words: dict[str, str]) -> str:
    return Template(_template(template).read_text(encoding="utf-8")).substitute(words)
