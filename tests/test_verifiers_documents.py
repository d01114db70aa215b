"""JSON and YAML artifacts: what is none is a problem with its line, and nothing in them is ever run."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.verifiers.documents import check_json, check_yaml


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, "x"]}', "[]", "1", '\ufeff{"a": 1}'])
def test_json_is_json(text) -> None:
    assert check_json(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("{\n  'a': 1}", "Line 2: the document is no JSON"),
        ('{"a": 1,}', "Line 1"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ("[" * 200_000, "nested too deeply"),
        ("\x00", "no JSON"),
        (" " * 20_000_001, "not read"),
    ],
    ids=["empty", "quotes", "comma", "nan", "twice", "deep", "binary", "enormous"],
)
def test_what_is_no_json_has_problems(text, problem) -> None:
    assert problem in check_json(text)[0]


@pytest.mark.parametrize("text", ["a: 1", "- x\n- y\n---\nz: [1, 2]", "a: &x {k: 1}\nb:\n  <<: *x\n", "a: 2026-01-15"])
def test_yaml_is_yaml(text) -> None:
    assert check_yaml(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("# nothing but a comment", "no document"),
        ("a: 1\nb: [1, 2\nc: 3\n", "Line 3"),
        ("a: 1\nb: 2\na: 3\n", "Line 3: the key 'a' is there twice"),
        ("a: !!python/object/apply:os.system [exit]", "Line 1: the tag"),
        ("[" * 100_000, "nested more than"),
        ("a: \x00", "no YAML"),
        ("a: *nowhere", "Line 1: the document is no YAML: "),
    ],
    ids=["empty", "comment", "open", "twice", "tag", "deep", "binary", "alias"],
)
def test_what_is_no_yaml_has_problems(text, problem) -> None:
    assert problem in " ".join(check_yaml(text))


def test_what_a_parser_says_is_passed_on_with_its_place() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as said:
        yaml.compose("\na: *nowhere", Loader=yaml.SafeLoader)
    assert check_yaml("\na: *nowhere") == [f"Line 2: the document is no YAML: {said.value.problem}."]
    with pytest.raises(json.JSONDecodeError) as told:
        json.loads("\n{'a': 1}")
    assert check_json("\n{'a': 1}") == [f"Line 2: the document is no JSON: {told.value.msg} (column 2)."]


def test_aliases_are_not_expanded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    assert check_yaml("\n".join(lines)) == []


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=100), st.text(st.sampled_from("{}[]:,&*!-\"' \n\tab1<%@|>"), max_size=60)))
def test_no_text_makes_them_raise(text) -> None:
    assert isinstance(check_json(text), list)
    assert isinstance(check_yaml(text), list)
