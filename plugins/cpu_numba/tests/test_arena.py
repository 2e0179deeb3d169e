"""Places are taken again when nothing holds them, and not before."""

from __future__ import annotations

import torch

from inferd_cpu_numba.arena import CHUNK_BYTES, LINE, Arena


def made() -> Arena:
    arena = Arena()
    arena.begin()
    return arena


def test_what_is_held_is_not_given_away():
    arena = made()
    held = [arena.empty((3, 5), torch.float32).fill_(n) for n in range(50)]
    assert [tensor.unique().tolist() for tensor in held] == [[n] for n in range(50)]
    assert all(tensor.data_ptr() % LINE == 0 for tensor in held)


def test_a_view_holds_its_place_and_the_last_lets_go():
    arena = made()
    whole = arena.empty((4, 16), torch.float32)
    place, view = whole.data_ptr(), whole[1:]
    del whole
    assert arena.empty((4, 16), torch.float32).data_ptr() != place
    del view
    assert arena.empty((4, 16), torch.float32).data_ptr() == place


def test_a_gap_that_is_too_small_is_left():
    arena = made()
    small, after = (arena.empty((16,), torch.float32) for _ in range(2))
    place = small.data_ptr()
    del small
    assert arena.empty((17,), torch.float32).data_ptr() > after.data_ptr()
    assert arena.empty((16,), torch.float32).data_ptr() == place


def test_another_recording_begins_anew_and_what_the_last_held_frees_nothing():
    arena = made()
    old = arena.empty((16,), torch.int64)
    arena.begin()
    new = arena.empty((16,), torch.int64)
    assert new.data_ptr() == old.data_ptr()
    del old
    assert arena.empty((16,), torch.int64).data_ptr() != new.data_ptr()


def test_more_than_a_chunk_and_nothing_at_all():
    arena = made()
    large, none = arena.empty((CHUNK_BYTES + 1,), torch.uint8), arena.empty((0, 3), torch.bfloat16)
    assert large.numel() == CHUNK_BYTES + 1
    assert none.shape == (0, 3)
    assert arena.empty((), torch.float32).shape == ()
