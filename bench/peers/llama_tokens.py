"""Greedy tokens of llama.cpp, in its own environment: a job as JSON in, the answer as a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.peers.llama import LlamaCpp

if __name__ == "__main__":
    job = json.load(sys.stdin)
    engine = LlamaCpp(Path(job["model"]), job["threads"])
    print(json.dumps(engine.generate(job["prompts"], job["tokens"])))
