"""The price of running through transformers: a Llama by its own plugin and by models_transformers.

    python -m bench.fallback [--model MODEL] [--rounds N] [--requests N]
    python -m bench.fallback --w1 llama8b --rounds 1

The two alternate, each in a process of its own, over the 64 prompts that `bench/cpu.py` uses, all
at once; with --w1, on a GPU, over `w1` of `bench/vs_vllm.py`, a shape with random weights. Prints
tokens per second of each round and the ratio of the best ones; other work on the machine shows as
rounds that differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.gpu.comparison import COMMON, CONTEXT
from bench.gpu.processes import inferd_environment, run_driver, tail
from bench.gpu.shapes import PROMPT_IDS, write_model

from inferd.config.paths import cache_dir

PROMPTS = Path(__file__).parent / "data" / "cpu_prompts.json"
LOG = Path("fallback.log")  # what the engines of --w1 print
LIMIT_S = 300.0
TINY = ["--requests", 1 / 16, "--tokens", 1 / 16]
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
    parser = argparse.ArgumentParser(
        prog="python -m bench.fallback", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--w1", choices=[*CONTEXT], metavar="SHAPE", help="llama8b, or tiny")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=64)
    args = parser.parse_args()
    measure = partial(measure_w1, args.w1) if args.w1 else partial(measure_64, args)
    best = dict.fromkeys(WAYS, 0.0)
    for number in range(1, args.rounds + 1):
        for way, plugins in WAYS.items():
            speed = measure(plugins)
            best[way] = max(best[way], speed)
            print(f"round {number}, {way}: {speed:.1f} tokens/s", flush=True)
    print(f"transformers / native: {best['transformers'] / best['native']:.2f}")
    return 0


def measure_64(args: argparse.Namespace, plugins: str) -> float:
    """Output tokens per second; raises CalledProcessError for a run that fails."""
    command = [sys.executable, "-c", RUN, args.model, plugins, str(PROMPTS), str(args.requests)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure_w1(shape: str, plugins: str) -> float:
    """As above; raises SystemExit for a run that fails."""
    model = write_model(shape, cache_dir() / "bench" / f"shape-{shape}")
    options = COMMON | {"max_model_len": CONTEXT[shape], "plugins": plugins}
    sizes = ["--limit", PROMPT_IDS[shape], *TINY * (shape == "tiny"), "--reps", 1]
    command = [sys.executable, "-m", "bench.gpu.inferd_driver", "--model", model, *sizes]
    command += ["--options", json.dumps(options | {"skip_tokenizer_init": True})]
    with LOG.open("a", encoding="utf-8") as log:
        found, problem = run_driver(
            [*command, "--sections", "w1"], inferd_environment(), log, lambda _: None, LIMIT_S
        )
    if problem:
        raise SystemExit(f"{problem}\n{tail(LOG)}")
    return float(next(line for line in found if line["section"] == "w1")["out_tok_s"])


if __name__ == "__main__":
    sys.exit(main())
