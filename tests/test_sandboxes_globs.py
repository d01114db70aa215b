"""Globs mean the same in every sandbox."""

from __future__ import annotations

import pytest

from pytest_specbench.sandboxes.globs import compile_globs


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("specs/*/spec.md", "specs/001/spec.md", True),
        ("specs/*/spec.md", "specs/001/deep/spec.md", False),
        ("specs/*/spec.md", "specs/spec.md", False),
        ("**/spec.md", "spec.md", True),
        ("**/spec.md", "a/b/.hidden/spec.md", True),
        ("specs/**", "specs/a/b", True),
        ("specs/**", "specs", False),
        ("specs/**", "other/a", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("?.md", "a.md", True),
        ("?.md", "ab.md", False),
        ("*", ".env", False),
        ("?env", ".env", False),
        (".*", ".env", True),
        (".env", ".env", True),
        ("app/[id].tsx", "app/[id].tsx", True),
        ("app/[id].tsx", "app/i.tsx", False),
        ("./a.md", "a.md", True),
        ("a.md", "axmd", False),
        ("*.md", "a\nb.md", True),
    ],
)
def test_what_a_glob_matches(pattern: str, path: str, matches: bool) -> None:
    """`*` stays in its folder and passes leading dots over, `**` crosses folders, brackets are only brackets."""
    (glob,) = compile_globs([pattern])
    assert glob.matches(path) is matches


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", "a/../../x", "", ".", "a\0b"])
def test_what_leaves_the_workdir_names_nothing(pattern: str) -> None:
    assert compile_globs([pattern]) == []


@pytest.mark.parametrize(
    ("pattern", "prefix", "exact"),
    [("a/b/*.md", "a/b", False), ("**", "", False), ("a/b.md", "a/b.md", True), ("a/*/c/d", "a", False)],
)
def test_only_the_folder_before_the_first_wildcard_is_looked_through(pattern: str, prefix: str, exact: bool) -> None:
    (glob,) = compile_globs([pattern])
    assert (glob.prefix, glob.exact) == (prefix, exact)


def test_many_stars_do_not_make_matching_explode() -> None:
    (glob,) = compile_globs(["*" * 200 + "x"])
    assert not glob.matches("a" * 5000)
