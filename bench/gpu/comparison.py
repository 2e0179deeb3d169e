"""One run: each engine in processes of its own, one after the other on the same device."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from bench.gpu import serving
from bench.gpu.offline import SECTIONS
from bench.gpu.processes import inferd_environment, peer_environment, run_driver, tail, wait_free

from inferd.cli.bench.startup_run import measure_starts
from inferd.errors import InferdError

COMMON = {"dtype": "bfloat16", "load_format": "dummy", "enable_prefix_caching": False}
CONTEXT = {"llama8b": 16384, "tiny": 2048}
Found = dict[str, dict[str, Any]]


class Comparison:
    """What was found, by engine and section, and what went wrong."""

    def __init__(self, args: argparse.Namespace, model: Path, log: IO[str]) -> None:
        self.args = args
        self.log = log
        self.model = model
        self.found: dict[str, Found] = {engine: {} for engine in args.engines}
        self.problems: list[str] = []

    def run(self) -> None:
        """The sections that were asked for."""
        if set(self.args.sections) & set(SECTIONS):
            self._offline()
        if "startup" in self.args.sections:
            self._startup()
        if "served" in self.args.sections:
            self._served()

    def _offline(self) -> None:
        """One process per engine measures all of its sections."""
        for engine in self.args.engines:
            can = ("w1",) if engine == "hf" else SECTIONS
            sections = [section for section in can if section in self.args.sections]
            if sections:
                self._take(engine, self._drive(engine, sections))

    def _startup(self) -> None:
        if "inferd" in self.found:
            options = {"model": str(self.model), "skip_tokenizer_init": True}
            try:
                figures = measure_starts(options | self._options("inferd"), 1, cold=True)
            except InferdError as error:
                self._fail(f"inferd, startup: {error}")
            else:
                self._show("inferd", {"section": "startup", **figures})
                self._take("inferd", [{"section": "startup", **_flat(figures)}])
        if "vllm" in self.found:
            found = self._drive("vllm", [])
            self._take("vllm", [line | {"section": "startup"} for line in found])

    def _served(self) -> None:
        for engine in [each for each in self.args.engines if each != "hf"]:
            try:
                with self._server(engine) as server:
                    for section, figures in serving.measure(server, self.args):
                        self._show(engine, {"section": section, **figures})
                        self._take(engine, [{"section": section, **figures}])
            except InferdError as error:
                self._fail(f"{engine}, served: {error}")
            wait_free()

    def _server(self, engine: str) -> AbstractContextManager[serving.Server]:
        options = self._options(engine)
        if engine == "inferd":
            return serving.inferd_server(self.model, options)
        return serving.vllm_server(self.model, options, self.args.peer, self.log)

    def _drive(self, engine: str, sections: list[str]) -> list[dict[str, Any]]:
        args = self.args
        python, environment = sys.executable, inferd_environment()
        if engine == "vllm":
            python, environment = args.peer.python, peer_environment(args.peer.path)
        options = self._options(engine)
        if options:
            options["skip_tokenizer_init"] = True
        command = [python, "-m", f"bench.gpu.{engine}_driver", "--model", self.model]
        command += ["--limit", args.limit, "--requests", args.requests, "--tokens", args.tokens]
        command += ["--reps", args.reps, "--options", json.dumps(options), "--sections", *sections]
        found, problem = run_driver(
            command,
            environment,
            self.log,
            lambda line: self._show(engine, line),
            args.timeout,
        )
        if problem:
            self._fail(f"{engine}, {' '.join(sections) or 'start'}: {problem}")
        return found

    def _options(self, engine: str) -> dict[str, Any]:
        if engine == "hf":
            return {}
        own = self.args.inferd_options if engine == "inferd" else self.args.vllm_options
        return {**COMMON, "max_model_len": CONTEXT[self.args.shape], **own}

    def _take(self, engine: str, found: list[dict[str, Any]]) -> None:
        for line in found:
            figures = {name: value for name, value in line.items() if name != "section"}
            self.found[engine][line["section"]] = figures
            if figures.get("failed"):
                self.problems.append(f"{engine}, {line['section']}: {figures['failures']}")

    def _show(self, engine: str, line: dict[str, Any]) -> None:
        figures = {name: value for name, value in line.items() if name not in ("section", "runs")}
        print(f"{engine} {line['section']}: {json.dumps(figures)}", flush=True)

    def _fail(self, problem: str) -> None:
        self.problems.append(problem)
        print(f"{problem}\n{tail(self.args.log)}", flush=True)


def _flat(figures: dict[str, Any]) -> dict[str, float]:
    """The seconds of a start; phases are named so that they do not meet those of vLLM."""
    phases = {f"{name}_phase_s": seconds for name, seconds in figures["phases_s"].items()}
    totals = {name: value for name, value in figures.items() if isinstance(value, float)}
    return phases | totals
