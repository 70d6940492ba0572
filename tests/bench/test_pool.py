"""Runs in other processes come back with their numbers, all of them, and nothing stays when somebody leaves early."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from operator import neg

import pytest

from bench.pool import played


def test_every_run_comes_back_with_its_number() -> None:
    with closing(played(neg, [5, 6, 7, 8], 2)) as numbered:
        assert dict(numbered) == {0: -5, 1: -6, 2: -7, 3: -8}
    assert multiprocessing.active_children() == []


def test_who_leaves_early_leaves_no_process() -> None:
    with closing(played(neg, list(range(50)), 2)) as numbered:
        next(numbered)
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


def test_what_a_run_raises_is_raised_here() -> None:
    with closing(played(neg, [1, "one"], 1)) as numbered, pytest.raises(TypeError):
        list(numbered)
