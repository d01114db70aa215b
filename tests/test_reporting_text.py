"""Text from a scenario or a sandbox: shown, never obeyed; measured in cells."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_specbench.core.status import Cause
from pytest_specbench.reporting.text import cell_width, cut, encodes, pad, printable, printable_lines, wants_color, wrap
from pytest_specbench.reporting.values import show_cause, show_count, show_delta, show_duration, show_value

ANYTHING = st.text(st.characters(), max_size=40)
"""Every code point, lone surrogates too."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("evil\u202etxt", "evil\\u202etxt"),
        ("lost\udcff", "lost\\udcff"),
        ("wide\u3000space\xa0", "wide space "),
        ("\u4ed5\u69d8 \u00fc \u2713", "\u4ed5\u69d8 \u00fc \u2713"),
        ("c1\x9b31m", "c1\\x9b31m"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANYTHING)
@example("\x1b]0;title\x07\u2028\u2066\U000e0001\x85")
def test_printable_text_is_one_line_that_any_stream_can_take(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert printable(text, "ascii").isascii()
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_lines_end_at_line_ends_only() -> None:
    assert printable_lines("\n\none\r\n\ttwo \x0b\u2028three\n\n") == ["one", "    two \\x0b\\u2028three"]
    assert printable_lines("") == []


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("abc", 3),
        ("\u4ed5\u69d8", 4),
        ("u\u0308", 1),
        ("\u1112\u1161\u11ab", 2),
        ("\U0001f642", 2),
        ("\uff21", 2),
        ("\u2713", 1),
    ],
)
def test_width_counts_cells_and_not_characters(text: str, cells: int) -> None:
    assert cell_width(text) == cells


def test_padding_and_cutting_count_cells() -> None:
    assert pad("\u4ed5\u69d8", 6) == "\u4ed5\u69d8  "
    assert pad("7", 3, right=True) == "  7"
    assert pad("longer", 3) == "longer"
    assert cut("\u4ed5\u69d8\u66f8\u985e", 6) == "\u4ed5..."
    assert cut("short", 5) == "short"
    assert cut("shorter", 2) == ".."


@given(ANYTHING, st.integers(0, 30))
def test_what_is_cut_fits(text: str, width: int) -> None:
    assert cell_width(cut(printable(text), width)) <= width


def test_wrapping_keeps_indentation_and_never_breaks_a_word() -> None:
    text = "no engine answers at the socket\n  next: /a/very/long/path/that/is/one/word now\n\nend"
    assert wrap(text, 24, indent="  ") == [
        "  no engine answers at",
        "  the socket",
        "    next:",
        "    /a/very/long/path/that/is/one/word",
        "    now",
        "",
        "  end",
    ]


@given(st.lists(st.text("ab\u4ed5", min_size=1, max_size=5), max_size=12), st.integers(12, 40))
def test_wrapped_lines_fit_and_lose_no_word(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), width, indent="  ")
    assert all(cell_width(line) <= width for line in lines)
    assert " ".join(lines).split() == words


@pytest.mark.parametrize(
    ("environ", "is_tty", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_for_terminals_and_no_color_wins(environ: dict[str, str], is_tty: bool, wanted: bool) -> None:
    assert wants_color(environ, is_tty=is_tty) is wanted


def test_an_encoding_either_holds_a_mark_or_not() -> None:
    assert encodes("\u2713", "utf-8")
    assert not encodes("\u2713", "latin-1")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("runtime_ms", None, "-"),
        ("runtime_ms", 0, "0 ms"),
        ("runtime_ms", 999.6, "1.0 s"),
        ("runtime_ms", 12_345.0, "12.3 s"),
        ("runtime_ms", 59_960, "1 min 00 s"),
        ("runtime_ms", 185_000, "3 min 05 s"),
        ("peak_memory_mb", 0.42, "0.4 MB"),
        ("peak_memory_mb", 512.4, "512 MB"),
        ("success", True, "yes"),
        ("success", False, "no"),
        ("input_tokens", 999, "999"),
        ("input_tokens", 12_345, "12.3k"),
        ("cost_usd", 0.0123, "$0.0123"),
        ("cost_usd", 12.5, "$12.50"),
        ("exit_status", 137, "137"),
        ("steps", 12.5, "12.5"),
        ("of_a_third_party", 3, "3"),
    ],
)
def test_values_are_shown_with_their_unit_and_the_unknown_as_a_dash(name: str, value: float | None, shown: str) -> None:
    assert show_value(name, value) == shown


def test_deltas_carry_their_sign_and_zero_is_not_negative() -> None:
    assert [show_delta(percent) for percent in (5.44, -2.1, -0.01, 0.0, None)] == [
        "+5.4%",
        "-2.1%",
        "+0.0%",
        "+0.0%",
        "-",
    ]


def test_counts_and_durations_go_up_a_unit_where_rounding_reaches_it() -> None:
    assert [show_count(count) for count in (999_960, 4_500_000)] == ["1.0M", "4.5M"]
    assert show_duration(999) == "999 ms"


def test_a_cause_is_shown_in_words() -> None:
    assert show_cause(Cause.ARTIFACT_MISSING) == "artifact missing"
