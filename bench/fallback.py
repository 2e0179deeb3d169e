"""The price of running through transformers: a Llama by its own plugin and by models_transformers.

    python bench/fallback.py [--model MODEL] [--rounds N] [--requests N]

The two alternate, each in a process of its own, over the 64 prompts that `bench/cpu.py` uses, all
at once. Prints tokens per second of each round and the ratio of the best ones; other work on the
machine shows as rounds that differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

PROMPTS = Path(__file__).parent / "data" / "cpu_prompts.json"
WAYS = {"native": "all", "transformers": "no:llama"}
RUN = """
import json, sys, time
from inferd import LLM, SamplingParams
model, plugins, path, count = sys.argv[1:]
requests = json.load(open(path))["main"][: int(count)]
params = SamplingParams(temperature=0, max_tokens=128, ignore_eos=True)
with LLM(model, plugins=plugins, max_model_len=1024, enable_prefix_caching=False) as llm:
    llm.generate([requests[0]["ids"]], params)
    start = time.perf_counter()
    outputs = llm.generate([r["ids"] for r in requests], params)
    seconds = time.perf_counter() - start
print(json.dumps(sum(len(o.outputs[0].token_ids) for o in outputs) / seconds))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=64)
    args = parser.parse_args()
    best = dict.fromkeys(WAYS, 0.0)
    for number in range(1, args.rounds + 1):
        for way, plugins in WAYS.items():
            speed = measure(args.model, plugins, args.requests)
            best[way] = max(best[way], speed)
            print(f"round {number}, {way}: {speed:.1f} tokens/s", flush=True)
    print(f"transformers / native: {best['transformers'] / best['native']:.2f}")
    return 0


def measure(model: str, plugins: str, requests: int) -> float:
    """Output tokens per second; raises CalledProcessError for a run that fails."""
    command = [sys.executable, "-c", RUN, model, plugins, str(PROMPTS), str(requests)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
