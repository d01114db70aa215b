"""Secrets never reach an artifact: whatever their encoding, wherever a chunk ends."""

from __future__ import annotations

import base64
import json
import shlex
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.core.redact import Redactor, without_credentials

SECRET = 'p@ss "wörd"/+1\n2'
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIB" + "x" * 300 + "\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps({"a": SECRET}),
        json.dumps({"a": SECRET}, ensure_ascii=False),
        json.dumps({"arguments": json.dumps({"a": SECRET})}),
        quote(SECRET, safe=""),
        quote(SECRET),
        shlex.quote(SECRET),
        SECRET.replace("\n", "\r\n"),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(f"me:{SECRET}:x".encode()).decode(),
    ],
)
def test_a_named_value_is_found_in_every_usual_form(form: str) -> None:
    redacted = Redactor({"API": SECRET}).text(f"before {form} after")
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "[redacted:API]" in redacted
    assert form not in redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-abc123abc123abc123abc123 end", "key [redacted:api_key] end"),
        ("ghp_" + "a1" * 18, "[redacted:github_token]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted:aws_key_id]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [redacted:bearer_token]"),
        (f"a\n{PEM}\nb", "a\n[redacted:private_key]\nb"),
    ],
)
def test_well_known_shapes_are_found_without_being_named(text: str, expected: str) -> None:
    assert Redactor({}).text(text) == expected


@pytest.mark.parametrize(
    "text", ["task-list-with-some-long-name-here", "risk-2024-assessment-document-final", "a bearer of news"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor({"X": "another"}).text(text) == text


def test_short_values_are_left_alone_and_reported() -> None:
    redactor = Redactor({"PIN": "1234", "LONG": "123456"})
    assert redactor.too_short == ("PIN",)
    assert redactor.text("1234 123456") == "1234 [redacted:LONG]"


def test_variables_that_are_called_like_secrets_are_redacted_unasked() -> None:
    environment = {
        "OPENAI_API_KEY": "abcdefgh-1",
        "MY_TOKEN": "token-value",
        "DB_PASSWORD": "short",
        "HOME": "/home/x",
        "PLAIN": "plain-value",
    }
    redactor = Redactor.from_environment(["PLAIN", "ABSENT"], environment)
    text = redactor.text("abcdefgh-1 token-value short /home/x plain-value")
    assert text == "[redacted:OPENAI_API_KEY] [redacted:MY_TOKEN] short /home/x [redacted:PLAIN]"


def test_json_is_redacted_in_keys_and_values_at_any_depth() -> None:
    data = {"a": [{"secret-value": ("x secret-value", 1, None, True)}]}
    assert Redactor({"S": "secret-value"}).json(data) == {"a": [{"[redacted:S]": ["x [redacted:S]", 1, None, True]}]}


def test_the_longer_of_two_overlapping_secrets_wins() -> None:
    redactor = Redactor({"A": "abcdef", "B": "abcdefghij"})
    assert redactor.text("abcdefghij abcdef") == "[redacted:B] [redacted:A]"


PIECES = st.sampled_from(
    [
        "secret-value",
        "secret-",
        "value",
        "second secret",
        "second ",
        "abcabcabd",
        "abcabc",
        "Bearer ",
        "0123456789abcdef01",
        " ",
        "\n",
        "sk-",
        "a1b2c3d4e5f6a1b2c3d4e5f6",
        "x",
        PEM,
        "-----BEGIN ",
        "é",
    ]
)


@given(text=st.lists(PIECES, max_size=12).map("".join), cuts=st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=400, deadline=None)
def test_a_stream_redacts_like_the_whole_text_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    redactor = Redactor({"A": "secret-value", "B": "second secret", "C": "abcabcabd"})
    data = text.encode()
    stream = redactor.stream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(stream.feed(data[start:end]) for start, end in pairwise(edges)) + stream.flush()
    assert out == redactor.bytes(data)


@pytest.mark.parametrize("begun", [b"-----BEGIN PRIVATE KEY-----", b"-eyJ", b"sk-", b"Bearer ", b"eyJaaaaaaaa."])
def test_what_is_begun_again_and_again_takes_no_longer_than_other_text(begun: bytes) -> None:
    """Whoever prints that must not hold up the host: each shape that went over the rest at every beginning would take
    many minutes here.
    """
    redactor, data = Redactor({}), begun * (1_000_000 // len(begun))
    stream = redactor.stream()
    out = b"".join(stream.feed(data[at : at + 32_768]) for at in range(0, len(data), 32_768)) + stream.flush()
    assert out == redactor.bytes(data)
    assert redactor.bytes(data) == data or begun.startswith(b"eyJ")


def test_a_key_after_one_that_never_ended_is_found() -> None:
    assert Redactor({}).text(f"-----BEGIN PRIVATE KEY-----\ncut\n{PEM}") == (
        "-----BEGIN PRIVATE KEY-----\ncut\n[redacted:private_key]"
    )


def test_a_url_loses_its_credentials() -> None:
    assert (
        without_credentials("at https://u:p@host/x, http://host/") == "at https://[redacted:url]@host/x, http://host/"
    )


def test_a_stream_does_not_hold_back_finished_lines() -> None:
    stream = Redactor({"A": "secret-value"}).stream()
    assert stream.feed(b"hello world\n") == b"hello world\n"
    assert stream.feed(b"a secret-value\n") == b"a [redacted:A]\n"
