"""What a replay overlooks, and what it does not."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_specbench.agents.models.normalise import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/w/dir/a.py: ok", "<workdir>/a.py: ok"),
        ("cd /w/dir", "cd <workdir>"),
        ("/w/directory/a.py", "/w/directory/a.py"),
        ("x/w/dir", "x/w/dir"),
        ("wrote /tmp/tmp.Ab12/x.txt.", "wrote <tmp>"),
        ("/var/folders/ab/cd/T/x y", "<tmp> y"),
        ("id 123e4567-e89b-12d3-a456-426614174000!", "id <uuid>!"),
        ("at 2026-01-02T03:04:05.678Z.", "at <time>."),
        ("at 2026-01-02 03:04:05 +0100", "at <time>"),
        ("run 20261122T101530Z", "run <time>"),
        ("specs/20260319-143022-user-auth", "specs/<time>-user-auth"),
        ("-rw-r--r-- 1 a a 12 Nov  2 14:12 f", "-rw-r--r-- 1 a a 12 <time> f"),
        ("Date:   Sun Nov 22 14:23:34 2026 +0000", "Date:   <time>"),
        ("Sun Nov 22 14:23:34 UTC 2026", "<time>"),
        ("14:23:34 started", "<time> started"),
        ("**Created**: 2026-01-05", "**Created**: <date>"),
        ("3 passed in 0.12s", "3 passed in <duration>"),
        ("took 12 ms", "took <duration>"),
        ("real\t0m0.003s", "real\t<duration>"),
        ("<object at 0x7f00deadbeef>", "<object at <address>>"),
        ("[main (root-commit) 1a2b3c4] first", "[main (root-commit) <commit>] first"),
        ("commit " + "ab12" * 10, "commit <commit>"),
        ("a  \r\nb\r", "a\nb\n"),
    ],
)
def test_what_differs_from_run_to_run_is_normalised(text: str, expected: str) -> None:
    assert normalise(text, workdir="/w/dir") == expected


@pytest.mark.parametrize(
    "text", ["exit code: 1", "3 passed, 1 failed", "v1.2.3", "T001 [US1]", "feedbag", "1234567", "/tmpx"]
)
def test_everything_else_counts(text: str) -> None:
    assert normalise(text, workdir="/w/dir") == text


@given(st.uuids(), st.uuids())
def test_two_runs_that_differ_in_an_id_only_are_the_same(one: UUID, other: UUID) -> None:
    assert normalise(f"made {one}\n") == normalise(f"made {other}\n")


@given(st.text())
def test_any_text_is_normalised(text: str) -> None:
    assert "\r" not in normalise(text, workdir="/w")
