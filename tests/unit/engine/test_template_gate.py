"""Chat templates of clients: what they make, and that they cannot take the server along."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from inferd.engine.template_gate import TemplateGate
from inferd.errors import RequestError

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]
GOOD = "{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TemplateGate]:
    """Patient: what a busy machine takes its time for is not what does not end."""
    monkeypatch.setattr("inferd.engine.template_gate.RENDER_S", 60.0)
    made = TemplateGate()
    yield made
    await made.stop()


async def test_a_template_is_rendered(gate: TemplateGate) -> None:
    assert await gate.render(GOOD, HI, {"bos_token": "<s>"}, opens=False) == "<s>hi"
    assert await gate.render(GOOD + "<end>", HI, {}, opens=True) == "hi"


BOMB = "{% set x = namespace(a='abcd') %}{% for _ in range(40) %}{% set x.a = x.a ~ x.a %}"
HOSTILE = {
    "loops": (3 * "{% for _ in range(999) %}" + 3 * "{% endfor %}", "template_timeout"),
    "one expression": ("{{ 9 ** (9 ** 9) }}", "template_timeout"),
    "memory": (BOMB + "{% endfor %}{{ x.a | length }}", "invalid_request"),
    "length": ("{{ 'a' * 2000000 }}", "invalid_request"),
    "a class": ("{{ ''.__class__.__mro__ }}", "invalid_request"),
    "a file": ("{% include '/etc/passwd' %}", "invalid_request"),
    "no template": ("{% for", "invalid_request"),
    "its own complaint": ("{{ raise_exception('no') }}", "invalid_request"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a31_hostile_templates(
    gate: TemplateGate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, code = HOSTILE[name]
    await gate.render(GOOD, HI, {}, opens=False)
    if code == "template_timeout":  # it never ends
        monkeypatch.setattr("inferd.engine.template_gate.RENDER_S", 0.5)
    with pytest.raises(RequestError) as caught:
        await gate.render(template, HI, {}, opens=False)
    assert (caught.value.param, caught.value.code) == ("chat_template", code)
    assert "/etc" not in str(caught.value).replace("/etc/passwd", "")
    monkeypatch.setattr("inferd.engine.template_gate.RENDER_S", 60.0)
    assert await gate.render(GOOD, HI, {}, opens=False) == "hi"
