"""Greedy ids of transformers in fp32, with the margin between its two best logits at each step.

    python -m bench.peers.oracle MODEL.gguf --out tests/data/parity_smollm2.json

Each prompt runs alone (padding would change the arithmetic), with transformers' own KV cache and
generate loop; the end-of-text token is ignored. Takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from bench.peers.gguf_source import Source
from bench.peers.hf_directory import write_hf

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = Path("bench/data/cpu_prompts.json")


def load_model(source: Path) -> Any:
    """LlamaForCausalLM in fp32 with the GGUF's unrounded weights, never stopping by itself."""
    with tempfile.TemporaryDirectory() as folder:
        write_hf(Source.open(source), Path(folder), torch.float32)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    return model.eval()


@torch.inference_mode()
def greedy(model: Any, ids: list[int], num_tokens: int) -> tuple[list[int], list[float]]:
    """`num_tokens` greedy ids after `ids`, and best minus second best logit at each of them."""
    prompt_1T = torch.tensor([ids])
    done = model.generate(
        prompt_1T,
        attention_mask=torch.ones_like(prompt_1T),
        do_sample=False,
        max_new_tokens=num_tokens,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = [logits_1V[0].topk(2).values.tolist() for logits_1V in done.logits]
    chosen = done.sequences[0, len(ids) :].tolist()
    return chosen, [float(f"{first - second:.4g}") for first, second in best]


def provenance(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "command": f"python -m bench.peers.oracle {args.source.name} --out {args.out}",
        "model_sha256": _sha256(args.source),
        "prompts": f"{PROMPTS} main",
        "prompts_sha256": _sha256(ROOT / PROMPTS),
        "dtype": "float32, weights dequantized by gguf and not rounded",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the .gguf file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    model = load_model(args.source)
    prompts = json.loads((ROOT / PROMPTS).read_text(encoding="utf-8"))["main"]
    lines = []
    for number, prompt in enumerate(prompts):
        ids, margins = greedy(model, prompt["ids"], args.tokens)
        lines.append(json.dumps({"ids": ids, "margins": margins}, separators=(",", ":")))
        print(f"{number + 1}/{len(prompts)} smallest margin {min(margins)}", file=sys.stderr)
    head = json.dumps(provenance(args), indent=1)[:-2]
    args.out.write_text(head + ',\n "outputs": [\n' + ",\n".join(lines) + "\n]}\n", "utf-8")


if __name__ == "__main__":
    main()
