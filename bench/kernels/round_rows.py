"""Time to round a dense matrix row by row while it is loaded, as `--quantization fp8` and int8 do.

    python bench/kernels/round_rows.py [--threads 2]

CPU time, which other processes change less than the clock; for an 8B all its linears are counted.
"""

from __future__ import annotations

import argparse
import time

import torch

from inferd.contracts.scaled_formats import ScaledWeight

SHAPE = 4096, 14336
OF_8B = 32 * (6144 * 4096 + 4096 * 4096 + 3 * 4096 * 14336)  # numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    weight_NK = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) / 50).bfloat16()
    for dtype in (torch.float8_e4m3fn, torch.int8):
        ScaledWeight.by_rows(weight_NK[:256], dtype)
        began = time.process_time()
        ScaledWeight.by_rows(weight_NK, dtype)
        taken = time.process_time() - began
        whole = taken * OF_8B / weight_NK.numel()
        print(f"{dtype}: {taken:.2f} s of CPU for {list(SHAPE)}, {whole:.0f} s for an 8B")


if __name__ == "__main__":
    main()
