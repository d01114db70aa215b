"""Acceptance of the program that the pipeline built: its own tests, and checks of its behaviour that it never saw.

Run in the project's folder by `python3 -I`, so that nothing in that folder stands in for a module of Python's own.
Exit status 0 when everything holds, 1 when not.
"""

# ruff: noqa: PT009, T201 - it runs by unittest in the sandbox, and what it prints is the record of the verification

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROJECT = Path.cwd()

RUN_TESTS = """
import json, sys, unittest
suite = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
print(json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "passed": result.wasSuccessful()}))
"""


def slugify(*arguments: str, titles: str = "") -> tuple[int, list[str], str]:
    """Exit status, lines on standard output, and standard error of the program."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", "slugify", *arguments],
        input=titles,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
        cwd=PROJECT,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def run_own_tests(folder: Path, *, shown: bool = True) -> dict[str, object]:
    """What became of the project's own tests when run in `folder`; empty when they could not be run to the end."""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", RUN_TESTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=90,
        check=False,
        cwd=folder,
    )
    if shown:
        print(done.stdout, flush=True)
    last = done.stdout.splitlines()[-1:] or [""]
    try:
        return dict(json.loads(last[0])) if done.returncode == 0 else {}
    except ValueError:
        return {}


class OwnTests(unittest.TestCase):
    """The project's own tests."""

    def test_they_exist_and_pass(self) -> None:
        result = run_own_tests(PROJECT)
        self.assertTrue(result.get("passed"), "the project's own tests do not pass")
        self.assertGreaterEqual(int(str(result["run"])) - int(str(result["skipped"])), 5, "fewer than 5 tests ran")

    def test_they_fail_without_the_program(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(PROJECT / "tests", Path(folder, "tests"))
            result = run_own_tests(Path(folder), shown=False)
        self.assertFalse(result.get("passed"), "the tests pass without the program, so they do not test it")


class OneTitle(unittest.TestCase):
    """User Story 1."""

    def test_slugs(self) -> None:
        cases = {
            "Hello, World!": "hello-world",
            "Crème Brûlée": "creme-brulee",
            "  Many   spaces\tand -- marks!  ": "many-spaces-and-marks",
            "Don't panic": "dont-panic",
            "Top 10 of 2025": "top-10-of-2025",
            "A \u2013 B": "a-b",
            "UPPER lower": "upper-lower",
        }
        for title, slug in cases.items():
            with self.subTest(title):
                self.assertEqual(slugify(title)[:2], (0, [slug]))

    def test_all_arguments_are_one_title(self) -> None:
        self.assertEqual(slugify("Hello", "wide", "World")[:2], (0, ["hello-wide-world"]))

    def test_a_title_without_a_slug(self) -> None:
        status, printed, message = slugify("?!")
        self.assertEqual((status, printed), (1, []))
        self.assertIn("?!", message)


class ManyTitles(unittest.TestCase):
    """User Story 2."""

    def test_order_and_blank_lines(self) -> None:
        self.assertEqual(slugify(titles="One fish\n\nTwo fish\n   \nRed\n")[:2], (0, ["one-fish", "two-fish", "red"]))

    def test_a_bad_line_is_named(self) -> None:
        status, printed, message = slugify(titles="One\nTwo\n***\nThree\n")
        self.assertEqual((status, printed), (1, ["one", "two", "three"]))
        self.assertRegex(message, r"\b3\b")

    def test_nothing_in_nothing_out(self) -> None:
        self.assertEqual(slugify()[:2], (0, []))

    def test_a_slug_of_a_slug_is_the_same(self) -> None:
        titles = "".join(f"Ünïcode title, No. {number}: {'x' * (number % 7)}'s\n" for number in range(500))
        status, once, _ = slugify(titles=titles)
        self.assertEqual((status, len(once)), (0, 500))
        self.assertTrue(all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) for slug in once))
        self.assertEqual(slugify(titles="\n".join(once))[1], once)


class HouseStyle(unittest.TestCase):
    """User Story 3."""

    def test_separators(self) -> None:
        for separator in "-_.":
            with self.subTest(separator):
                printed = slugify(f"--separator={separator}", "Hello, wide World")[1]
                self.assertEqual(printed, [separator.join(["hello", "wide", "world"])])

    def test_limits(self) -> None:
        for limit, slug in {
            "100": "the-quick-brown-fox",
            "12": "the-quick",
            "9": "the-quick",
            "8": "the",
            "2": "th",
        }.items():
            with self.subTest(limit):
                self.assertEqual(slugify(f"--max-length={limit}", "The quick brown fox")[1], [slug])

    def test_options_hold_for_lists_too(self) -> None:
        self.assertEqual(
            slugify("--separator=_", "--max-length=7", titles="One two three\nFour\n")[1], ["one_two", "four"]
        )

    def test_wrong_use(self) -> None:
        for wrong in ("--separator=/", "--max-length=0", "--max-length=-3", "--max-length=some", "--colour"):
            with self.subTest(wrong):
                status, printed, message = slugify(wrong, "Hello")
                self.assertEqual((status, printed), (2, []))
                self.assertTrue(message)


if __name__ == "__main__":
    unittest.main(verbosity=2)
