"""The pages in a real browser: a headless Chromium, driven through Playwright."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCHEMES = ("light", "dark")
WIDTHS = (390, 1200)
PATIENCE_MS = 60_000
ONE_TOOL = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium where there is one, else the one that `playwright install` fetched."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, smollm2: dict[str, Any]) -> Iterator[Callable[..., Page]]:
    """`open_page("/dashboard")`; fails for whatever a page complains of, its policy included."""
    complaints: list[str] = []
    contexts = []

    def make(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(base_url=smollm2["url"], **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    expect.set_options(timeout=PATIENCE_MS)
    yield make
    for context in contexts:
        context.close()
    assert not [text for text in complaints if "status of 401" not in text]


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def answers(page: Page) -> Any:
    return page.locator(".assistant .text")


def bodies(page: Page) -> list[dict[str, Any]]:
    """What the page asks the model, from now on."""
    seen: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/chat/completions"):
            seen.append(request.post_data_json)

    page.on("request", note)
    return seen


def replying(page: Page, *deltas: dict[str, Any], tokens: Sequence[Sequence[str]] = ()) -> None:
    """The model's next answers are these deltas, each said to be of its tokens."""
    choices: list[dict[str, Any]] = []
    for delta, texts in itertools.zip_longest(deltas, tokens, fillvalue=()):
        content = [
            {"token": each, "bytes": [0xC3], "logprob": -0.1, "top_logprobs": []} for each in texts
        ]
        rest = {"logprobs": {"content": content}, "finish_reason": None}
        choices.append({"index": 0, "delta": delta} | rest)
    events = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]

    def reply(route: Route) -> None:
        body = "".join([*events, "data: [DONE]\n\n"])
        route.fulfill(body=body, content_type="text/event-stream")

    page.route("**/v1/chat/completions", reply)


def test_it_talks_with_smollm2(open_page: Callable[..., Page]) -> None:
    page = open_page()
    seen = bodies(page)
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Most tokens").fill("24")
    page.get_by_label("System message").fill("You are a helpful assistant.")
    page.get_by_label("Token probabilities").check()
    say(page, "What is the capital of France?")
    expect(answers(page)).to_contain_text("Paris")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator(".foot").last).to_contain_text(re.compile(r"\d+ tokens .* ended by stop"))
    answers(page).focus()  # before the mouse is somewhere: focusing may scroll
    page.locator(".token", has_text="Paris").hover()
    expect(page.get_by_role("tooltip")).to_contain_text(re.compile(r"Paris\s*\d+\.\d %"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".token.active")).to_have_text(" is")

    answer = answers(page).inner_text()
    say(page, "And of Italy?")
    expect(answers(page).nth(1)).to_contain_text("Rome")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert seen[0]["max_tokens"] == 24
    assert [m["role"] for m in seen[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert seen[1]["messages"][2]["content"] == answer

    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_text("Say something to the model.")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Most tokens")).to_have_value("24")


def test_tokens_that_come_together_are_shown_one_by_one(open_page: Callable[..., Page]) -> None:
    page = open_page()
    replying(page, {"content": "It is\u00e9 ."}, tokens=[["It", " is", "\ufffd", "\ufffd", " ."]])
    say(page, "Where?")
    expect(page.locator(".token")).to_have_text(["It", " is", "\u00e9 ."])
    page.locator(".token").last.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("<c3>")
    replying(page, {"content": "It is."}, tokens=[["It", " is", ".", "<|im_end|>"]])
    say(page, "Where?")
    expect(answers(page).nth(1).locator(".token")).to_have_text(["It", " is", "."])
    replying(page, {"content": "It"}, {"content": "\u00e9"}, tokens=[["It", "\ufffd"], ["\ufffd"]])
    say(page, "Where?")
    expect(answers(page).nth(2).locator(".token")).to_have_text(["It", "\u00e9"])
    answers(page).nth(2).locator(".token").last.hover()
    expect(page.get_by_role("tooltip").locator("table")).to_have_count(2)


def test_escape_stops_an_answer(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_label("Most tokens").fill("4000")
    say(page, "Tell me a very long story about a ship.")
    expect(answers(page)).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.wait_for_function(
        "async () => (await (await fetch('/load')).json()).server_load === 0", polling=200
    )


def test_what_is_sent_before_the_models_are_known_waits(open_page: Callable[..., Page]) -> None:
    page = open_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/models", hold)
    page.reload()
    page.get_by_label("Most tokens").fill("4")
    say(page, "Hello!")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    held[0].continue_()
    expect(answers(page)).not_to_be_empty()


def test_reasoning_and_tool_calls_are_shown_and_answered(open_page: Callable[..., Page]) -> None:
    page = open_page()
    seen = bodies(page)
    page.get_by_label("Tools, as JSON").fill(json.dumps(ONE_TOOL))
    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}
    replying(
        page,
        {"role": "assistant", "content": ""},
        {"reasoning": "I should ", "reasoning_content": "I should "},
        {"reasoning": "look it up.", "reasoning_content": "look it up."},
        {"content": "One **moment**."},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
    )
    say(page, "How is the weather in Rome?")
    page.get_by_text("Reasoning").click()
    expect(page.locator(".reasoning div")).to_have_text("I should look it up.")
    expect(page.locator(".text strong")).to_have_text("moment")
    expect(page.locator(".call")).to_contain_text('"city": "Rome"')

    replying(page, {"content": "<b>Sunny</b>"})
    page.get_by_label("Result of weather").fill("sunny")
    page.get_by_role("button", name="Send results").click()
    expect(answers(page).nth(1)).to_have_text("<b>Sunny</b>")
    called, result = seen[1]["messages"][1:]
    assert called["tool_calls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city": "Rome"}',
    }
    assert called["reasoning_content"] == "I should look it up."
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def test_what_the_server_refuses_is_said(open_page: Callable[..., Page]) -> None:
    page = open_page()
    error = {"error": {"message": "the queue is full"}}
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            body=f"data: {json.dumps(error)}\n\n", content_type="text/event-stream"
        ),
    )
    say(page, "Hello")
    expect(page.get_by_role("alert")).to_have_text("the queue is full")
    page.get_by_label("Tools, as JSON").fill("[")
    say(page, "Hello again")
    expect(page.get_by_role("alert").nth(1)).to_contain_text("The tools are no JSON")
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_key_is_asked_for_and_kept_in_the_tab(open_page: Callable[..., Page]) -> None:
    page = open_page()

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": {"message": "missing or wrong API key"}})

    page.route("**/v1/models", guard)
    page.reload()
    field = page.get_by_label("API key", exact=True)
    for key in ("wrong", "secret"):
        field.fill(key)
        page.keyboard.press("Enter")
        if key == "wrong":
            expect(page.get_by_text("The server does not know this key.")).to_be_visible()
    expect(page.get_by_label("Model")).to_have_value("smollm2")
    expect(field).to_be_hidden()
    assert page.evaluate("Object.values(sessionStorage)") == ["secret"]
    assert "secret" not in page.evaluate("JSON.stringify(localStorage)")


def test_who_gives_no_key_is_asked_once(open_page: Callable[..., Page]) -> None:
    page = open_page("/dashboard")
    refused = {"error": {"message": "missing or wrong API key"}}
    page.route("**/metrics", lambda route: route.fulfill(status=401, json=refused))
    page.get_by_label("API key", exact=True).wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_text("missing or wrong API key")).to_be_visible()
    with page.expect_response("**/metrics"):
        pass
    expect(page.get_by_label("API key", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Key").click()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()


def test_the_dashboard_shows_what_was_served(open_page: Callable[..., Page]) -> None:
    page = open_page("/dashboard")
    page.wait_for_selector("#totals dd")
    before = page.locator("#totals dd").nth(1).inner_text()
    page.evaluate(
        """async () => await (await fetch('/v1/completions', {method: 'POST',
           headers: {'Content-Type': 'application/json'}, body: JSON.stringify({model: 'smollm2',
           prompt: 'Once upon a time', max_tokens: 16, ignore_eos: true})})).json()"""
    )
    after = int(before.replace(",", "")) + 16
    expect(page.locator("#totals dd").nth(1)).to_have_text(f"{after:,}")
    first = page.locator(".card", has_text="Time to first token").locator("strong").first
    expect(first).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    throughput = page.locator(".card", has_text="Throughput").locator("polyline").first
    expect(throughput).to_have_attribute("points", re.compile(r"\d"))


@pytest.mark.parametrize(("path", "there"), [("/", "#model option"), ("/dashboard", "#totals dd")])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_and_nothing_sticks_out(
    open_page: Callable[..., Page], path: str, there: str, scheme: str
) -> None:
    page = open_page(path, color_scheme=scheme)
    page.wait_for_selector(there, state="attached")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for front, back in (("text", "ground"), ("faint", "surface"), ("on-accent", "accent")):
        colours = [colour_of(page, f"--{name}") for name in (front, back)]
        assert contrast(*colours) >= 4.5, (front, back)
    nameless = """all => all.filter(e => !e.labels?.length && !e.textContent.trim()
        && !e.getAttribute('aria-label')).map(e => e.outerHTML)"""
    assert page.locator("button, input, select, textarea").evaluate_all(nameless) == []


def colour_of(page: Page, name: str) -> list[float]:
    """Linear red, green and blue, 0 to 1, of a custom property."""
    text = page.evaluate(
        """name => { const probe = document.createElement('i');
        probe.style.color = `var(${name})`; document.body.append(probe);
        const colour = getComputedStyle(probe).color; probe.remove(); return colour; }""",
        name,
    )
    parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def contrast(one: list[float], other: list[float]) -> float:
    """As WCAG 2 has it."""
    luminances = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (one, other)]
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)
