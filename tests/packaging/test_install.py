"""Wheels in an empty environment: discovered, selected, blocked, and the contract passes there."""

from __future__ import annotations

import json

import pytest

ROOT_MODULES = ("inferd", "inferd_server")


def states(environment, *words: str) -> dict[str, str]:
    out = environment.run("inferd", "plugins", "--json", *words)
    return {row["plugin"]: row["state"] for row in map(json.loads, out.splitlines())}


def test_a_plugin_from_its_wheel(make_environment, root_wheel, plugin_wheel, plugin_folder):
    environment = make_environment()
    environment.install(root_wheel)
    assert "sample" not in states(environment)
    environment.install(plugin_wheel)
    place = environment.run("python", "-c", "import inferd; print(inferd.__file__)").strip()
    assert place.startswith(str(environment.bin.parent))  # the wheel's, not the checkout's
    assert states(environment)["sample"] == "loaded"
    assert states(environment, "--plugins", "sample")["sample"] == "loaded"
    assert states(environment, "--plugins", "no:sample")["sample"] == "not selected"
    assert states(environment, "--plugins", "none")["sample"] == "not selected"
    told = environment.run("inferd", "plugins", "new", "ops", "other")
    assert "inferd-ops-other" in told  # the templates are there
    told = environment.run("python", "-m", "pytest", "-q", place=plugin_folder)
    assert "failed" not in told
    assert "passed" in told
    environment.pip("uninstall", "-y", "inferd-ops-sample")
    assert set(states(environment)) >= {"builtin", "server"}
    assert "sample" not in states(environment)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["root first", "plugin first", "one line"])
def test_editable_in_any_order(make_environment, plugin_folder, order, repository):
    environment = make_environment()
    root, plugin = ("-e", str(repository)), ("-e", str(plugin_folder))
    orders = {
        "root first": [root, plugin],
        "plugin first": [plugin, root],
        "one line": [(*root, *plugin)],
    }
    for words in orders[order]:
        environment.install(*words)
    assert states(environment)["sample"] == "loaded"
    place = environment.run("python", "-c", "import inferd; print(inferd.__file__)").strip()
    assert place == str(repository / "core" / "inferd" / "__init__.py")
