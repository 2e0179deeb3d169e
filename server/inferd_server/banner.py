"""What the operator sees: words on a terminal, one JSON object per line when piped."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from inferd import __version__

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.contracts.executor import WorkerInfo
    from inferd_server.settings import Settings

GIB = 1 << 30


def facts(info: WorkerInfo, max_num_seqs: int) -> dict[str, Any]:
    """What fits: tokens of KV, and how many requests of what length at once."""
    tokens = info.num_blocks * info.block_size
    return {
        **info.summary,
        "kv_tokens": tokens,
        "max_model_len": info.max_model_len,
        "concurrent_at_max_len": max(1, tokens // info.max_model_len),
        "max_num_seqs": max_num_seqs,
    }


class Banner:
    """Events of the server's life, in order."""

    def __init__(self, settings: Settings, out: TextIO | None = None) -> None:
        self._settings = settings
        self._out = out or sys.stdout
        self._pretty = self._out.isatty()

    def loading(self, url: str) -> None:
        if self._pretty:
            self._print(
                f"[bold]inferd {__version__}[/bold]  {self._settings.model}  loading ... "
                f"(already listening on {url})"
            )
        self._line("loading", url=url, model=self._settings.model)

    def ready(self, url: str, info: WorkerInfo, config: EngineConfig, seconds: float) -> None:
        known = facts(info, config.scheduler.max_num_seqs)
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

    def say(self, event: str, text: str, **values: Any) -> None:
        """An event with nothing to lay out: draining, stopped, dead."""
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
    weights = known.get("weight_bytes", 0) / GIB
    cache = known.get("kv_bytes", 0) / GIB
    tokens, length = known["kv_tokens"], known["max_model_len"]
    short = max(1, length // 8)
    name = settings.served_names[0]
    body = f'{{"model": "{name}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    weights_line = (
        f" [green]OK[/green] weights {weights:.2f} GiB  {known.get('dtype', '?')}"
        f"  {known.get('device', '?')}  attention {known.get('attention', '?')}"
        f"  ops {', '.join(known.get('ops', ())) or '?'}"
    )
    cache_line = (
        f" [green]OK[/green] KV cache {cache:.2f} GiB fits {tokens:,} tokens"
        f" = {known['concurrent_at_max_len']:,} requests of {length:,}"
        f" or {max(1, tokens // short):,} of {short:,} at once;"
        f" the scheduler runs {known['max_num_seqs']:,}"
    )
    ready_line = (
        f" [green]ready[/green] in {seconds:.1f} s: [bold]{url}[/bold]"
        "  API /v1  metrics /metrics  schema /openapi.json   (Ctrl-C drains)"
    )
    curl = f"curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'"
    return [weights_line, cache_line, ready_line, f" try: {curl}"]
