"""What the operator sees: words on a terminal, one JSON object per line when piped."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any, TextIO

from inferd import __version__
from inferd.engine.capacity import Capacity

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.contracts.executor import WorkerInfo
    from inferd_server.settings import Settings

MIB = 1 << 20
GIB = 1 << 30


def facts(info: WorkerInfo, config: EngineConfig) -> dict[str, Any]:
    """What fits: tokens of KV, and how many requests of what length at once."""
    scheduler, longest = config.scheduler.preferring(info.scheduler), info.max_model_len
    capacity = Capacity(info, scheduler.max_num_batched_tokens)
    return {
        **info.summary,
        "kv_tokens": capacity.num_tokens,
        "max_model_len": longest,
        "concurrent_at_max_len": capacity.at_once(longest),
        "concurrent_at_eighth": capacity.at_once(max(1, longest // 8)),
        "max_num_seqs": scheduler.max_num_seqs,
    }


class Banner:
    """Events of the server's life, in order."""

    def __init__(self, settings: Settings, out: TextIO | None = None) -> None:
        self._settings = settings
        self._out = out or sys.stdout
        self._pretty = self._out.isatty()

    def loading(self, url: str) -> None:
        if self._pretty:
            from rich.markup import escape

            self._print(
                f"[bold]inferd {__version__}[/bold] is loading {escape(self._settings.model)} "
                f"and already listens on {url}"
            )
        self._line("loading", url=url, model=self._settings.model)

    def ready(self, url: str, info: WorkerInfo, config: EngineConfig, seconds: float) -> None:
        known = facts(info, config)
        if self._pretty:
            for text in _screen(known, url, self._settings, seconds):
                self._print(text)
        self._line(
            "ready",
            url=url,
            models=self._settings.served_names,
            seconds=round(seconds, 2),
            **known,
        )

    def warn(self, text: str) -> None:
        print(f"inferd: warning: {text}", file=sys.stderr)

    def draining(self, running: int, seconds: float) -> None:
        text = (
            f" draining: {running} running, at most {seconds:g} s (a second signal stops at once)"
        )
        self._say("draining", text, running=running, seconds=seconds)

    def stopped(self, cut_off: int) -> None:
        self._say("stopped", f" stopped, {cut_off} requests cut off")

    def dead(self) -> None:
        self._say("dead", " [red]the engine process died[/red]; the server stops")

    def front_end_ready(self, number: int, pid: int) -> None:
        self._line("front_end_ready", number=number, pid=pid)

    def front_end_hangs(self, number: int, pid: int) -> None:
        text = f" [red]front end {number} hangs[/red]; its process {pid} is killed"
        self._say("front_end_hangs", text, number=number, pid=pid)

    def front_end_died(self, number: int, code: int) -> None:
        text = f" [red]front end {number} died[/red], exit code {code}; another takes its place"
        self._say("front_end_died", text, number=number, code=code)

    def _say(self, event: str, text: str, **values: Any) -> None:
        if self._pretty:
            self._print(text)
        self._line(event, **values)

    def _print(self, text: str) -> None:
        from rich.console import Console

        Console(file=self._out, highlight=False, soft_wrap=True).print(text)

    def _line(self, event: str, **values: Any) -> None:
        if not self._pretty:
            print(json.dumps({"event": event, **values}), file=self._out, flush=True)


def _screen(known: dict[str, Any], url: str, settings: Settings, seconds: float) -> list[str]:
    from rich.markup import escape

    return [
        escape(_model(known)),
        _cache(known),
        f"  API       [bold]{url}/v1[/bold]  chat /  dashboard /dashboard  docs /docs",
        f"[green]ready[/green] in {seconds:.1f} s; Ctrl-C drains and stops. Try:",
        "",
        escape(_curl(url, settings)),
        "",
    ]


def _model(known: dict[str, Any]) -> str:
    what, ops = known.get("model", "?"), ", ".join(known.get("ops", ())) or "?"
    weights = f"{_size(known.get('weight_bytes', 0))} of weights in {known.get('dtype', '?')}"
    for name, how in known.get("weight_formats", {}).items():
        weights += f", {name} {how}"
    place = f"on {known.get('device', '?')}; attention {known.get('attention', '?')}, ops {ops}"
    note = known.get("model_note")
    return f"  model     {what}, {weights} {place}" + (f"\n            {note}" if note else "")


def _cache(known: dict[str, Any]) -> str:
    tokens, length = known["kv_tokens"], known["max_model_len"]
    short = max(1, length // 8)
    size = f"{_size(known.get('kv_bytes', 0))} = {tokens:,} tokens"
    long = f"{known['concurrent_at_max_len']:,} requests of {length:,} tokens at once"
    many = f"{known['concurrent_at_eighth']:,} of {short:,}"
    most = f"at most {known['max_num_seqs']:,} together"
    return f"  KV cache  {size}: {long} or {many}; {most}"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / MIB:.0f} MiB"


def _curl(url: str, settings: Settings) -> str:
    """One line that works as it stands in a shell of this machine."""
    message = {"role": "user", "content": "Name three colours."}
    body = {
        "model": settings.served_names[0],
        "messages": [message],
        "max_tokens": 64,
        "temperature": 0,
    }
    near = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    key = ' -H "Authorization: Bearer $INFERD_API_KEY"' if settings.keys else ""
    kind = "-H 'Content-Type: application/json'"
    return f"curl {near}/v1/chat/completions {kind}{key} -d {shlex.quote(json.dumps(body))}"
