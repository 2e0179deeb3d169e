"""Help in groups, help by a word, and what a mistyped word is told."""

from __future__ import annotations

import pytest

from inferd.cli import main, overview
from inferd.host.host import Host
from inferd.host.selection import DEFAULTS, Selection


def shown(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_of_ours_has_its_group(capsys):
    ours = Host(Selection.parse(",".join(["none", *sorted(DEFAULTS)]))).catalog.commands.names
    grouped = [name for names in overview.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(ours)
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in ours)


def test_commands_of_plugins_stand_by_themselves(plugins, capsys):
    plugins.add(
        "extra",
        """
@hookimpl
def inferd_register_commands(registry):
    registry.add("hello", "nowhere:Hello", summary="says hello")
""",
    )
    assert main(["--help"]) == 0
    assert f"{overview.OTHERS}:\n  hello      says hello" in capsys.readouterr().out


def test_help_is_searched_by_a_word(capsys):
    whole = shown(capsys, "serve", "--help")
    cache = shown(capsys, "serve", "--help", "cache")
    assert "--port" in whole
    assert "--port" not in cache
    assert "--num-blocks" in cache  # of the group
    assert "--enable-prefix-caching" in cache
    assert "--max-num-seqs" in shown(capsys, "serve", "--help", "--max-num")
    assert main(["serve", "--help", "nonsense"]) == 2
    assert "no flag or group like 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sevre"], "did you mean serve?"),
        (["serve", "--prot", "1"], "did you mean --port?"),
        (["serve", "--dtype", "bfloat61"], "did you mean bfloat16?"),
        (["plugins", "lst"], "did you mean list?"),
        (["connect", "cluade"], "did you mean claude?"),
    ],
)
def test_the_nearest_word_is_named(capsys, words, hint):
    assert main(words) == 2
    assert hint in capsys.readouterr().err
