"""The doctor's opinions on faked facts, and its command on this machine."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace

import pytest

from inferd.cli import doctor_facts, main
from inferd.cli.doctor_checks import check_all
from inferd.cli.doctor_types import GIB, Facts

FINE = Facts(
    python=(3, 11, 7),
    versions={"torch": "2.13.0+cpu", "transformers": "5.23.0", "triton": None},
    torch_error=None,
    capability="AVX512",
    cpu_flags=frozenset({"avx2", "avx512_bf16"}),
    threads=2,
    omp_num_threads=None,
    cores=2,
    available_bytes=20 * GIB,
    cache_dir="/cache",
    cache_problem=None,
    cache_free_bytes=50 * GIB,
    platforms={"cpu": ""},
    plugins=["builtin", "llama"],
    plugin_failures={},
    cached_models={"smollm2": "/cache/x.gguf"},
    known_models=["smollm2"],
    hub_offline=False,
    port=8000,
    port_problem=None,
    gpus=[],
    torch_build="cpu",
    max_open_files=65536,
)


def versions(**changes):
    return {"versions": {**FINE.versions, **changes}}


def test_a_fine_machine_has_nothing_to_remedy():
    checks = check_all(FINE)
    assert {check.state for check in checks} == {"ok"}
    assert not any(check.remedy for check in checks)
    assert len({check.name for check in checks}) == len(checks) == 15


CASES = [
    ("python", {"python": (3, 10, 1)}, "fail", "3.11"),
    ("python", {"python": (3, 14, 0)}, "warn", "3.13"),
    ("torch", versions(torch=None), "fail", "pip install"),
    ("torch", versions(torch="2.10.1"), "fail", "--upgrade"),
    ("torch", {"torch_error": "libgomp.so.1: not found"}, "fail", "--force-reinstall"),
    ("gpu", {"gpus": ["NVIDIA"]}, "warn", "whl/cu130"),
    ("gpu", {"gpus": ["AMD"], "torch_build": "cuda"}, "warn", "whl/rocm"),
    ("platform", {"platforms": {"cpu": "broken"}}, "fail", "pip install"),
    ("cpu", {"cpu_flags": frozenset({"avx2"})}, "warn", "float32"),
    ("threads", {"threads": 1, "omp_num_threads": "1"}, "warn", "OMP_NUM_THREADS"),
    ("transformers", versions(transformers=None), "warn", "pip install"),
    ("transformers", versions(transformers="5.2.0"), "warn", ">=5.17,<6"),
    ("transformers", versions(transformers="6.0.0"), "warn", ">=5.17,<6"),
    ("triton", versions(triton="3.2.0"), "warn", "triton>=3.6"),
    ("memory", {"available_bytes": GIB}, "warn", "--kv-cache-memory-bytes"),
    ("memory", {"available_bytes": None}, "warn", "--kv-cache-memory-bytes"),
    ("cache", {"cache_problem": "read-only"}, "fail", "INFERD_CACHE"),
    ("cache", {"cache_free_bytes": GIB}, "warn", "INFERD_CACHE"),
    ("plugins", {"plugin_failures": {"awq": "ImportError: x"}}, "fail", "--plugins no:awq"),
    ("models", {"cached_models": {}}, "warn", "inferd models pull smollm2"),
    ("port", {"port_problem": "in use"}, "warn", "--port"),
    ("open files", {"max_open_files": 256}, "warn", "ulimit"),
]


@pytest.mark.parametrize(("name", "changes", "state", "remedy"), CASES)
def test_each_problem_has_a_state_and_a_remedy(name, changes, state, remedy):
    checks = {check.name: check for check in check_all(replace(FINE, **changes))}
    assert checks[name].state == state
    assert remedy in checks[name].remedy
    assert [check.name for check in checks.values() if check.state != "ok"] == [name]


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        ("triton", versions(triton="3.6.0"), "3.6.0"),
        ("platform", {"platforms": {"cuda": "no GPU", "cpu": ""}}, "cpu (not cuda: no GPU)"),
        ("platform", {"platforms": {"cuda": "", "cpu": ""}}, "cuda"),
        ("hub", {"hub_offline": True}, "HF_HUB_OFFLINE"),
        ("threads", {"threads": 2, "omp_num_threads": "2"}, "OMP_NUM_THREADS=2"),
        ("torch", versions(torch="2.11.0"), "2.11.0"),
        ("python", {"python": (3, 13, 2)}, "3.13.2"),
    ],
)
def test_what_is_fine_is_said(name, changes, found):
    checks = {check.name: check for check in check_all(replace(FINE, **changes))}
    assert checks[name].state == "ok"
    assert found in checks[name].found


@pytest.mark.parametrize(
    ("changes", "code"), [({}, 0), ({"cached_models": {}}, 0), ({"python": (3, 9, 0)}, 3)]
)
def test_only_a_failure_makes_the_exit_code(monkeypatch, capsys, changes, code):
    monkeypatch.setattr(doctor_facts, "gather", lambda *_: replace(FINE, **changes))
    assert main(["doctor"]) == code
    assert "python" in capsys.readouterr().out


def test_this_machine_with_a_taken_port(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        main(["doctor", "--json", "--port", str(taken.getsockname()[1])])
    rows = {(row := json.loads(line))["name"]: row for line in capsys.readouterr().out.splitlines()}
    assert rows["port"]["state"] == "warn"
    assert rows["python"]["found"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert "builtin" in rows["plugins"]["found"]
    assert rows["platform"]["state"] == "ok"
    assert rows["threads"]["state"] in {"ok", "warn"}


def test_a_cache_that_cannot_be_made_is_found(tmp_path):
    (tmp_path / "file").touch()
    assert "is not a directory" in doctor_facts._cache_problem(tmp_path / "file" / "inferd")
    assert doctor_facts._cache_problem(tmp_path / "not" / "yet" / "there") is None


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("model name : x\nflags\t\t: a b\nflags : c\n", {"a", "b"}),
        ("Features : asimd bf16\n", {"asimd", "bf16"}),
        ("nothing\n", set()),
    ],
)
def test_cpu_flags_of_both_kinds_of_machine(tmp_path, text, flags):
    (tmp_path / "cpuinfo").write_text(text)
    assert doctor_facts._cpu_flags(tmp_path / "cpuinfo") == flags
    assert doctor_facts._cpu_flags(tmp_path / "missing") == set()


def test_gpus_are_found_by_the_devices_of_their_drivers(tmp_path):
    assert doctor_facts.gpus_present(tmp_path) == []
    (tmp_path / "nvidiactl").touch()
    assert doctor_facts.gpus_present(tmp_path) == []
    (tmp_path / "nvidia0").touch()
    (tmp_path / "kfd").touch()
    assert doctor_facts.gpus_present(tmp_path) == ["NVIDIA", "AMD"]


def test_a_gpu_that_torch_can_use_is_fine():
    found = {c.name: c for c in check_all(replace(FINE, gpus=["NVIDIA"], torch_build="cuda"))}
    assert (found["gpu"].state, found["gpu"].found) == ("ok", "NVIDIA")
