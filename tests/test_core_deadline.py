"""A phase ends at its deadline, and nothing that it made is lost."""

from __future__ import annotations

import threading

import pytest

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded


def test_what_the_phase_returns_or_raises_comes_through():
    assert run_bounded(lambda: 42, 5, phase="agent") == 42
    with pytest.raises(KeyError):
        run_bounded(lambda: {}["missing"], 5, phase="agent")


def test_a_phase_that_is_still_running_is_left_behind_and_what_it_makes_too_late_is_handed_over():
    go_on, handed_over, late = threading.Event(), threading.Event(), []

    def slow() -> str:
        go_on.wait(10)
        return "sandbox"

    def on_late(made: str) -> None:
        late.append(made)
        handed_over.set()

    with pytest.raises(DeadlineExceededError, match=r"set-up was still running after 0.05 s"):
        run_bounded(slow, 0.05, phase="set-up", on_late=on_late)
    go_on.set()
    assert handed_over.wait(10)
    assert late == ["sandbox"]


def test_an_error_that_comes_too_late_disturbs_nobody():
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait(10)
        ended.set()
        raise ValueError("too late")

    with pytest.raises(DeadlineExceededError):
        run_bounded(slow, 0.05, phase="agent")
    go_on.set()
    assert ended.wait(10)
