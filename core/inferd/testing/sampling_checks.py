"""The checks of the sampler's ops for OpsContract: against float64, row by row.

Shape suffixes as in inferd.contracts.sampling_ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inferd.contracts.sampling_ops import FilterParams
from inferd.testing.numbers import DTYPES
from inferd.testing.sampling_reference import Floats, RowParams, allowed_draws, kept, noise

Offer = Mapping[str, Any]
SIZES = (3, 300, 5003)
MIXED = [
    RowParams(top_p=0.9),
    RowParams(0.8, 50, 0.95),
    RowParams(min_p=0.05),
    RowParams(1.5, top_k=1),
    RowParams(1.0, 5, 0.5, 0.02),
    RowParams(0.7, 0, 0.3, 0.1),
    RowParams(2.0, top_k=10_000, top_p=0.9),
    RowParams(top_p=1e-6),
    RowParams(0.9, 600),
    RowParams(),
]
BOUNDED = [params for params in MIXED if params.top_k]


def mask(ops: Offer, dtype: str, device: torch.device) -> None:
    """Rows without a mask stay, bits beyond the vocabulary mean nothing, a nan is seen."""
    generator = torch.Generator().manual_seed(0)
    for size in (*SIZES, 640):
        words_MW = torch.randint(-(2**31), 2**31, (3, -(-size // 32)), generator=generator).int()
        words_MW[1, ::2], words_MW[2, ::3] = -1, 0
        for places in ([0, 2, 4], [0, 1, 2]):
            logits_NV = torch.randn(max(places) + 1, size, generator=generator).to(DTYPES[dtype])
            logits_NV[0, size // 2] = torch.nan
            expected_NV = _masked(logits_NV, words_MW, places)
            found_NV, places_M = logits_NV.to(device), torch.tensor(places).to(device)
            ops["mask"](found_NV, words_MW.to(device), places_M)
            same = torch.allclose(found_NV.cpu(), expected_NV, 0.0, 0.0, equal_nan=True)
            assert same, f"mask of {size} logits, rows {places}: not what the words say"


def _masked(logits_NV: Tensor, words_MW: Tensor, places: list[int]) -> Tensor:
    masked_NV, tokens_V = logits_NV.clone(), torch.arange(logits_NV.shape[1])
    allowed_MV = (words_MW[:, tokens_V // 32] >> tokens_V % 32 & 1) == 1
    for place, allowed_V in zip(places, allowed_MV, strict=True):
        masked_NV[place, ~allowed_V & ~logits_NV[place].isnan()] = -torch.inf
    return masked_NV


def argmax(ops: Offer, dtype: str, device: torch.device) -> None:
    for what, logits_NV in _cases(4, dtype):
        best_N, ids_N = ops["argmax"](logits_NV.to(device))
        _check_best(f"argmax of {what}", logits_NV, best_N, ids_N)
        expected = logits_NV.double().numpy().argmax(-1)  # the first among equals
        assert ids_N.tolist() == expected.tolist(), f"argmax of {what}: {ids_N}, not {expected}"
    _check_strange(ops["argmax"], dtype, device)


def draw(ops: Offer, dtype: str, device: torch.device) -> None:
    rows = [RowParams(temperature) for temperature in (1.0, 0.3, 2.5, 0.9)]

    def run(logits_NV: Tensor, keys_N: Tensor, positions_N: Tensor) -> Any:
        columns = _columns(rows[: len(logits_NV)], device)
        return ops["draw"](logits_NV, columns.temperature_N, keys_N, positions_N)

    for what, logits_NV in _cases(len(rows), dtype):
        _check_draw(f"draw of {what}", run, logits_NV, rows, device)
    keys_N, positions_N = _keys(3, device)
    _check_strange(lambda logits_NV: run(logits_NV, keys_N, positions_N), dtype, device)


def draw_filtered(ops: Offer, dtype: str, device: torch.device) -> None:
    """Rows with all sorts of filters together, and alone: a row's draw is its own."""
    for rows in (MIXED, BOUNDED):

        def run(
            logits_NV: Tensor,
            keys_N: Tensor,
            positions_N: Tensor,
            rows: list[RowParams] = rows,
        ) -> Any:
            columns = _columns(rows[: len(logits_NV)], device)
            return ops["draw_filtered"](logits_NV, columns, keys_N, positions_N)

        for what, logits_NV in _cases(len(rows), dtype):
            _check_draw(f"draw_filtered of {what}", run, logits_NV, rows, device)
        keys_N, positions_N = _keys(3, device)
        _check_strange(lambda x: run(x, keys_N, positions_N), dtype, device)  # noqa: B023


def top_logprobs(ops: Offer, dtype: str, device: torch.device) -> None:
    for what, logits_NV in _cases(3, dtype):
        size = logits_NV.shape[1]
        chosen_N = torch.tensor([0, size - 1, size // 2])
        for most in (0, 1, min(5, size), min(20, size)):
            found = ops["top_logprobs"](logits_NV.to(device), chosen_N.to(device), most)
            _check_logprobs(f"top_logprobs({most}) of {what}", logits_NV, chosen_N, found)


def _check_logprobs(what: str, logits_NV: Tensor, chosen_N: Tensor, found: Any) -> None:
    ids_NC, values_NC, ranks_N = (x.cpu() for x in found)
    logits_NV = logits_NV.double()
    most = ids_NC.shape[1] - 1
    assert ids_NC[:, 0].tolist() == chosen_N.tolist(), f"{what}: the chosen token is not first"
    assert all(len(set(ids)) == most for ids in ids_NC[:, 1:].tolist()), f"{what}: {ids_NC}"
    at_NC, top_NK = logits_NV.gather(1, ids_NC), logits_NV.topk(most).values
    assert torch.equal(at_NC[:, 1:], top_NK), f"{what}: {at_NC[:, 1:]}, not {top_NK}"
    off = (values_NC - (at_NC - logits_NV.logsumexp(-1, keepdim=True))).nan_to_num().abs().max()
    assert off < 1e-4, f"{what}: off by {off:.1e}"
    expected_N = (logits_NV > at_NC[:, :1]).sum(-1) + 1
    assert torch.equal(ranks_N, expected_N), f"{what}: ranks {ranks_N}, not {expected_N}"


def _check_draw(
    what: str,
    run: Callable[[Tensor, Tensor, Tensor], Any],
    logits_NV: Tensor,
    rows: list[RowParams],
    device: torch.device,
) -> None:
    on_device, (keys_N, positions_N) = logits_NV.to(device), _keys(len(rows), device)
    best_N, ids_N = run(on_device, keys_N, positions_N)
    _check_best(what, logits_NV, best_N, ids_N)
    _, first_1 = run(on_device[:1], keys_N[:1], positions_N[:1])
    assert int(first_1) == int(ids_N[0]), f"{what}: row 0 draws another token when it is alone"
    for i, params in enumerate(rows):
        logits_V: Floats = logits_NV[i].double().numpy()
        gumbel_V = noise(int(keys_N[i]), int(positions_N[i]), len(logits_V))
        scores_V = logits_V / params.temperature + gumbel_V
        allowed = allowed_draws(scores_V, *kept(logits_V, params))
        assert int(ids_N[i]) in allowed, f"{what}: {params} draws {int(ids_N[i])}, not {allowed}"


def _check_best(what: str, logits_NV: Tensor, best_N: Tensor, ids_N: Tensor) -> None:
    assert best_N.dtype == torch.float32, f"{what}: the largest logits are {best_N.dtype}"
    assert ids_N.dtype == torch.int64, f"{what}: ids are {ids_N.dtype}"
    expected_N = logits_NV.float().amax(-1)
    assert torch.equal(best_N.cpu(), expected_N), f"{what}: largest {best_N}, not {expected_N}"


def _check_strange(run: Callable[[Tensor], Any], dtype: str, device: torch.device) -> None:
    """A nan, no token at all, one token: the first two are seen in best_N, ids are valid."""
    logits_NV = torch.full((3, 1000), -torch.inf)
    logits_NV[0] = torch.linspace(-3.0, 3.0, 1000)
    logits_NV[0, 777] = torch.nan
    logits_NV[2, 501] = -4.0
    best_N, ids_N = run(logits_NV.to(DTYPES[dtype]).to(device))
    assert best_N[0].isnan(), f"a nan is not seen: best_N is {best_N}"
    assert best_N[1:].tolist() == [-torch.inf, -4.0], f"best_N is {best_N}"
    assert all(0 <= i < 1000 for i in ids_N.tolist()), f"ids are {ids_N}"
    assert int(ids_N[2]) == 501, "a token whose logit is -inf is drawn"


def _cases(rows: int, dtype: str) -> Iterator[tuple[str, Tensor]]:
    """Peaked, nearly flat, with many equal logits, and with most tokens ruled out."""
    generator = torch.Generator().manual_seed(0)
    for size in SIZES:
        x_NV = torch.randn(rows, size, generator=generator)
        kinds = {"peaked": x_NV * 4, "flat": x_NV * 0.1, "equal": (x_NV * 2).round()}
        kinds["masked"] = torch.where(torch.arange(size) % 7 == 1, x_NV * 3, -torch.inf)
        for name, logits_NV in kinds.items():
            yield f"{size} {name} logits", logits_NV.to(DTYPES[dtype])


def _keys(rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    keys_N = torch.from_numpy(np.random.default_rng(5).integers(-(2**63), 2**63, rows))
    return keys_N.to(device), (torch.arange(rows) * 1000).to(device)


def _columns(rows: list[RowParams], device: torch.device) -> FilterParams:
    """Columns of one table, as the sampler has them."""
    floats_NF = torch.tensor([(r.temperature, r.top_p, r.min_p) for r in rows], device=device)
    top_k = [r.top_k for r in rows]
    return FilterParams(
        floats_NF[:, 0],
        torch.tensor(top_k, device=device),
        floats_NF[:, 1],
        floats_NF[:, 2],
        most_k=max(top_k),
        unbounded=0 in top_k,
    )


SAMPLING_CHECKS = {
    "mask": mask,
    "argmax": argmax,
    "draw": draw,
    "draw_filtered": draw_filtered,
    "top_logprobs": top_logprobs,
}
