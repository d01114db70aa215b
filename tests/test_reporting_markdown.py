"""The Markdown summary: a table that stays one, and nothing of a scenario's that is more than text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reporting_samples import blocked, compared, regression, report, run

from pytest_specbench.core.status import Status
from pytest_specbench.reporting.markdown import code, fence, render_markdown
from pytest_specbench.reporting.text import printable, printable_lines

ANYTHING = st.text(st.characters(), max_size=30) | st.text("|\\`*_[]()<>!&;#@~\n -a", max_size=20)


def parse(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def cells(markdown: str) -> list[list[str]]:
    """The text of every body cell, row by row, as a renderer shows it."""
    rows: list[list[str]] = []
    body = cell = False
    for token in parse(markdown):
        body = token.type == "tbody_open" or (body and token.type != "tbody_close")
        cell = token.type == "td_open" or (cell and token.type != "td_close")
        if body and token.type == "tr_open":
            rows.append([])
        if body and cell and token.type == "inline":
            children = token.children or []
            assert {child.type for child in children} <= {"text", "text_special", "html_inline", "code_inline"}
            rows[-1].append("".join(child.content for child in children if child.type != "html_inline"))
    return rows


def test_a_summary_with_a_table_and_the_notes_of_what_is_not_a_plain_pass() -> None:
    made = report(compared(), regression(), run_folder="runs/1")
    assert (
        render_markdown(made)
        == """\
## specbench: exit 1

`1 failed: plan (artifact missing)`

|  | scenario | status | cause | trials | runtime | delta | peak memory | delta | steps |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| ✓ | `specify` | pass | verified | 1 | 12.3 s | +5.4% | 512 MB | -2.1% | 12 |
| ✗ | `plan` | failed | artifact missing | 1 | 12.3 s | - | 512 MB | - | 12 |

### ✓ `specify`: verified

- changed under test: `agent.version: 1.0 -> 1.1`
- changed under test: `agent.option: True -> -`

Owner: `guild`, artifacts: `specify`

### ✗ `plan`: artifact missing

```text
no file matches specs/*/plan.md
```

Owner: `guild`, artifacts: `plan`

Run `1f3c9a2e-0000-4000-8000-000000000001`, artifacts in `runs/1`.
"""
    )


def test_missing_verdicts_and_collection_problems_are_told() -> None:
    shown = render_markdown(report(missing=("lost",), collection_problems=("bad.yaml:1: nope",)))
    assert "**`lost` started and gave no verdict.**" in shown
    assert "Not collected:\n\n```text\nbad.yaml:1: nope\n```" in shown
    assert "| scenario |" not in shown


@given(ANYTHING)
@example("a|b\\|c`d`<b>@somebody&amp;![x](y)")
def test_a_cell_shows_the_text_itself_and_stays_one_cell(name: str) -> None:
    shown = cells(render_markdown(report(run(name), blocked("tasks"))))
    assert [len(row) for row in shown] == [10, 10]
    assert shown[0][1].strip() == printable(name).strip()


@given(ANYTHING)
@example("````\n```text\n<script>")
def test_notes_stand_in_a_block_that_they_cannot_leave(notes: str) -> None:
    tokens = parse(fence(notes))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content.rstrip("\n") == "\n".join(printable_lines(notes)).rstrip("\n")


def test_what_backticks_would_not_hold_is_written_with_entities() -> None:
    assert code("a|b") == "<code>a&#124;b</code>"
    assert code("`</code>@x") == "<code>&#96;&#60;/code&#62;&#64;x</code>"
    assert [code(text) for text in ("a\\", " a", "")] == ["<code>a&#92;</code>", "<code> a</code>", "<code></code>"]


def test_any_other_text_can_be_read_raw() -> None:
    assert code("</code>@x: src/a_b.py (1)") == "`</code>@x: src/a_b.py (1)`"


def test_a_provisional_scenario_says_why() -> None:
    assert "no baseline yet" in render_markdown(report(run(status=Status.PROVISIONAL, notes="no baseline yet")))
