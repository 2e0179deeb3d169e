"""Delete the plugins' folders and their lines in pyproject, and core's tests stay green."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

PLUGINS = {
    "models_llama": "llama",
    "attention_triton": "attention_triton",
    "ops_triton": "ops_triton",
    "grammar_llguidance": "grammar_llguidance",
    "parsers": "parsers",
    "hw_rocm": "hw_rocm",
    "models_mixtral": "models_mixtral",
    "models_deepseek": "models_deepseek",
    "models_scripted": "models_scripted",
    "models_falcon": "models_falcon",
    "models_bloom": "models_bloom",
    "models_internlm": "models_internlm",
    "models_smollm3": "models_smollm3",
    "models_exaone": "models_exaone",
    "models_nemotron": "models_nemotron",
    "models_glm": "models_glm",
    "models_stablelm": "models_stablelm",
    "models_granite": "models_granite",
    "models_cohere": "models_cohere",
    "models_olmo": "models_olmo",
    "models_gpt": "models_gpt",
    "models_phi": "models_phi",
    "models_gemma": "models_gemma",
    "models_transformers": "models_transformers",
    "quant_gptq": "gptq",
    "quant_awq": "awq",
    "quant_compressed_tensors": "compressed_tensors",
    "quant_gguf": "gguf",
    "quant_fp8": "fp8",
    "quant_mxfp4": "mxfp4",
    "quant_squeezellm": "squeezellm",
    "cpu_numba": "cpu_numba",
    "routes_sagemaker": "routes_sagemaker",
    "grammar_xgrammar": "grammar_xgrammar",
}
NEED_PLUGINS = (  # they run a model, or count on what is installed; core has none of its own
    "cli/test_bench_html.py",
    "cli/test_bench_offline.py",
    "cli/test_bench_profile.py",
    "cli/test_bench_roofline.py",
    "cli/test_bench_server.py",
    "cli/test_bench_startup.py",
    "cli/test_bench_step.py",
    "cli/test_completion.py",
    "cli/test_config.py",
    "cli/test_help.py",
    "cli/test_plan.py",
    "cli/test_plugin_new.py",
    "loading/test_peak.py",
    "loading/test_weights.py",
    "runner/test_workspace.py",
)
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", *PLUGINS)


@pytest.fixture
def without(tmp_path: Path, repository: Path, make_environment):
    """(a copy of the repository without the plugins, an environment in which it is installed)."""
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy, ignore=LEFT_OUT)
    project = copy / "pyproject.toml"
    lines = [line for line in project.read_text().splitlines() if not is_of_plugin(line)]
    project.write_text("\n".join(drop_from_lists(line) for line in lines) + "\n")
    environment = make_environment()
    environment.install("-e", copy)
    return copy, environment


def is_of_plugin(line: str) -> bool:
    """A line that holds nothing else: its entry point, its package."""
    return line.strip().startswith(
        tuple(
            start
            for folder, name in PLUGINS.items()
            for start in (f"{name} = ", f'"plugins/{folder}')
        )
    )


def drop_from_lists(line: str) -> str:
    for folder in PLUGINS:
        package = f"inferd_{folder}"
        names = (
            f"plugins/{folder}/{package}",
            f"plugins/{folder}",
            package,
            f"{package}.kernels.*",
        )
        for name in (*names, f"{package}.kernels.** -> triton"):
            line = line.replace(f', "{name}"', "").replace(f'"{name}", ', "")
        line = line.replace(f":plugins/{folder}", "")
    return line


def test_nothing_of_the_plugins_is_left(without):
    copy, environment = without
    project = (copy / "pyproject.toml").read_text()
    assert not [folder for folder in PLUGINS if folder in project]
    out = environment.run("inferd", "plugins", "--json")
    assert {json.loads(line)["plugin"] for line in out.splitlines()} == {"builtin", "server"}


def test_the_quick_tests_of_core_stay_green(without):
    copy, environment = without
    told = environment.run("python", "-m", "pytest", "-q", *quick(copy), place=copy)
    assert "passed" in told


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_unit_tests_stay_green(without):
    copy, environment = without
    words = ["-m", "not slow and not soak and not gpu", "tests/unit", "tests/property"]
    words += [f"--ignore=tests/unit/{name}" for name in NEED_PLUGINS]
    told = environment.run("python", "-m", "pytest", "-q", *words, place=copy)
    assert "passed" in told


def quick(copy: Path) -> list[str]:
    """Where the plugins are found and chosen, and the policies that need no model."""
    tests = copy / "tests"
    names = ["unit/plugin", "unit/host", "unit/engine/test_engine.py", "unit/scheduling"]
    return [str(tests / name) for name in names if (tests / name).exists()]
