"""A live model: LiteLLM over real HTTP against an OpenAI-compatible server on loopback."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from model_server import Answer, ModelServer, call, error, reply, usage

from pytest_specbench.agents.models.base import MALFORMED_ARGUMENTS, ModelRequest
from pytest_specbench.agents.models.failures import classify, retry_after
from pytest_specbench.agents.models.live import LiveModel
from pytest_specbench.agents.orchestrator.prompts import SHELL_TOOL
from pytest_specbench.core.errors import AgentError, AgentStoppedError, BlockedError, InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.model import ModelDefaults, Prices

type Serve = Callable[..., tuple[ModelServer, LiveModel]]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server with the given answers and a model that asks it; pauses between repeats are skipped and noted."""
    servers: list[ModelServer] = []

    def start(*answers: Answer, name: str = "openai/test", **defaults: Any) -> tuple[ModelServer, LiveModel]:
        server = ModelServer(*answers)
        servers.append(server)
        server.__enter__()
        model = LiveModel(name, ModelDefaults(name=name, api_base=server.url, **defaults))
        return server, model

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none of them is waited for."""
    asked: list[float] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None or self.is_set():
                return super().wait(timeout)
            asked.append(timeout)
            return False

    monkeypatch.setattr(
        "pytest_specbench.agents.models.live.threading",
        type("threading", (), {"Event": Event, "Thread": threading.Thread}),
    )
    return asked


def request(**changes: Any) -> ModelRequest:
    values: dict[str, Any] = {
        "stage": "specify",
        "step": 1,
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [SHELL_TOOL],
        "deadline": math.inf,
    }
    return ModelRequest(**{**values, **changes})


def test_a_reply_carries_tool_calls_usage_and_the_name_of_the_model_that_answered(serve: Serve) -> None:
    server, model = serve(
        reply("look", calls=[call({"command": "ls"}), call({"command": "pwd"}, call_id="b")], usage=usage(100, 7, 60))
    )

    answer = model.complete(request())

    assert answer.content == "look"
    assert [(c.tool_call_id, c.function_name, dict(c.arguments)) for c in answer.tool_calls] == [
        ("call_1", "shell", {"command": "ls"}),
        ("b", "shell", {"command": "pwd"}),
    ]
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cached_tokens) == (100, 7, 60)
    assert answer.model_name == "served-model"
    assert answer.wait_ms > 0
    assert server.requests[0].body["tools"][0]["function"]["name"] == "shell"
    assert server.requests[0].body["messages"] == [{"role": "user", "content": "hello"}]


def test_parameters_of_the_scenario_reach_the_provider(serve: Serve) -> None:
    server, model = serve(reply("ok"), parameters={"temperature": 0.25, "max_tokens": 99})
    model.complete(request())
    assert server.requests[0].body["temperature"] == 0.25
    assert server.requests[0].body["max_tokens"] == 99


def test_reasoning_is_kept(serve: Serve) -> None:
    _, model = serve(reply("done", message={"reasoning_content": "first I thought"}))
    assert model.complete(request()).reasoning == "first I thought"


def test_usage_that_was_not_reported_is_null_with_a_reason_and_never_zero(serve: Serve) -> None:
    _, model = serve(reply("done"))
    got = model.complete(request()).usage
    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.cost_usd) == (None, None, None, None)
    assert got.extra["usage_reason"] == "the provider reported no usage"
    assert got.extra["cost_reason"] == "the provider reported no usage"


def test_cached_tokens_that_were_not_reported_are_null(serve: Serve) -> None:
    _, model = serve(reply("done", usage=usage(100, 7)))
    got = model.complete(request()).usage
    assert got.input_tokens == 100
    assert got.cached_tokens is None
    assert "cached" in got.extra["cached_reason"]


def test_cost_comes_from_the_scenarios_prices(serve: Serve) -> None:
    prices = Prices(input=2.0, output=10.0, cached=0.5)
    _, model = serve(reply("done", usage=usage(1_000_000, 100_000, 400_000)), prices=prices)
    got = model.complete(request()).usage
    assert got.cost_usd == pytest.approx(0.6 * 2.0 + 0.4 * 0.5 + 0.1 * 10.0)
    assert str(got.extra["price_table"]).startswith("scenario input=2.0")


def test_cost_is_null_where_cached_tokens_have_a_price_and_are_unknown(serve: Serve) -> None:
    _, model = serve(reply("done", usage=usage(100, 10)), prices=Prices(input=2.0, output=10.0, cached=0.5))
    got = model.complete(request()).usage
    assert got.cost_usd is None
    assert "cached" in got.extra["cost_reason"]


def test_cost_comes_from_litellms_table_which_is_named(serve: Serve) -> None:
    _, model = serve(reply("done", usage=usage(1000, 100)), name="openai/gpt-4o")
    got = model.complete(request()).usage
    row = model._litellm.model_cost["gpt-4o"]
    assert got.cost_usd == pytest.approx(1000 * row["input_cost_per_token"] + 100 * row["output_cost_per_token"])
    assert str(got.extra["price_table"]).startswith("litellm ")


def test_a_model_without_a_price_costs_null_and_not_zero(serve: Serve) -> None:
    _, model = serve(reply("done", usage=usage(1000, 100)))
    got = model.complete(request()).usage
    assert got.cost_usd is None
    assert "no price for 'openai/test'" in got.extra["cost_reason"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_repeated(serve: Serve, pauses: list[float], status: int) -> None:
    server, model = serve(error(status), reply("at last"))
    assert model.complete(request()).content == "at last"
    assert len(server.requests) == 2
    assert len(pauses) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Answer(drop=True),
        Answer(body=b"<html>busy</html>"),
        Answer(body=b"null"),
        Answer(body={"unexpected": True}),
        Answer(body={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}),
    ],
    ids=["dropped", "no-json", "null", "no-completion", "no-choices"],
)
def test_a_broken_reply_is_the_providers_fault_and_repeated(serve: Serve, pauses: list[float], fault: Answer) -> None:
    server, model = serve(fault, reply("at last"))
    assert model.complete(request()).content == "at last"
    assert len(server.requests) == 2


def test_pauses_double_with_jitter(serve: Serve, pauses: list[float]) -> None:
    _, model = serve(error(500), error(500), error(500), reply("at last"))
    model.complete(request())
    assert [0.5 <= pauses[0] <= 1, 1 <= pauses[1] <= 2, 2 <= pauses[2] <= 4] == [True, True, True]


def test_retry_after_is_honoured(serve: Serve, pauses: list[float]) -> None:
    _, model = serve(error(429, Retry_After="7"), reply("at last"))
    model.complete(request())
    assert pauses == [7.0]


def test_retry_after_may_be_a_date_and_nonsense_is_no_wish() -> None:
    def failing(value: str) -> Exception:
        fault = Exception("x")
        fault.litellm_response_headers = {"retry-after": value}  # type: ignore[attr-defined]
        return fault

    assert retry_after(failing("Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0
    assert retry_after(failing("soon")) is None
    assert retry_after(failing("-3")) == 0.0
    assert retry_after(Exception("x")) is None


def test_after_the_last_repeat_the_provider_has_failed_and_not_the_agent(serve: Serve, pauses: list[float]) -> None:
    server, model = serve(error(503), error(503), error(503), retries=2)
    with pytest.raises(InfrastructureError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.PROVIDER_FAILED
    assert "after 3 attempts" in str(caught.value)
    assert len(server.requests) == 3


def test_litellm_does_not_repeat_on_its_own(serve: Serve) -> None:
    server, model = serve(error(500), retries=0)
    with pytest.raises(InfrastructureError):
        model.complete(request())
    assert len(server.requests) == 1


def test_a_repeat_that_would_come_after_the_deadline_is_not_waited_for(serve: Serve) -> None:
    server, model = serve(error(429, Retry_After="3600"), reply("never"))
    with pytest.raises(InfrastructureError, match="would come after the deadline") as caught:
        model.complete(request(deadline=time.monotonic() + 30))
    assert caught.value.cause is Cause.PROVIDER_FAILED
    assert len(server.requests) == 1


def test_a_slow_reply_is_cut_at_the_request_timeout_and_repeated(serve: Serve, pauses: list[float]) -> None:
    server, model = serve(Answer(hold=True), reply("at last"), request_timeout_sec=0.3)
    assert model.complete(request()).content == "at last"
    assert len(server.requests) == 2


def test_a_reply_that_trickles_in_is_cut_at_the_deadline_too(serve: Serve) -> None:
    _, model = serve(Answer(trickle=True))
    with pytest.raises(AgentStoppedError):
        model.complete(request(deadline=time.monotonic() + 0.5))


def test_a_reply_that_is_not_there_at_the_deadline_ends_the_phase(serve: Serve) -> None:
    _, model = serve(Answer(hold=True))
    with pytest.raises(AgentStoppedError) as caught:
        model.complete(request(deadline=time.monotonic() + 0.4))
    assert caught.value.cause is Cause.AGENT_TIMEOUT


def test_a_pause_is_cut_short_when_the_model_is_closed(serve: Serve) -> None:
    server, model = serve(error(429, Retry_After="3600"), reply("never"))
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            model.complete(request())
        except AgentStoppedError as stopped:
            caught.append(stopped)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    model.close()
    thread.join(30)
    assert not thread.is_alive()
    assert len(caught) == 1
    assert len(server.requests) <= 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_blocks_and_names_the_variable(serve: Serve, status: int) -> None:
    server, model = serve(error(status, "bad key"))
    with pytest.raises(BlockedError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.KEY_MISSING
    assert "OPENAI_API_KEY" in str(caught.value)
    assert len(server.requests) == 1


def test_the_value_of_a_key_never_appears_in_a_message(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-value")
    server, model = serve(error(401, "Incorrect API key provided: sk-very-secret-value"))
    with pytest.raises(BlockedError) as caught:
        model.complete(request())
    assert server.requests[0].headers[
        "authorization" if "authorization" in server.requests[0].headers else "Authorization"
    ]
    assert "sk-very-secret-value" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 402, 404, 422])
def test_a_refused_request_is_a_matter_of_configuration(serve: Serve, status: int) -> None:
    _, model = serve(error(status, "no such model"))
    with pytest.raises(BlockedError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.CONFIGURATION
    assert str(status) in str(caught.value)


def test_a_conversation_that_outgrew_the_context_is_the_agents_failure(serve: Serve) -> None:
    _, model = serve(error(400, "This model's maximum context length is 10 tokens", code="context_length_exceeded"))
    with pytest.raises(AgentError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.TOKEN_LIMIT


@pytest.mark.parametrize(
    "answer",
    [
        error(400, "rejected", code="content_policy_violation"),
        reply(None, message={"refusal": "I will not"}),
        reply("", message={"refusal": "I will not"}),
        reply("Sorry.", message={"refusal": "I will not"}),
        reply("", finish="content_filter"),
    ],
    ids=["error", "refusal", "refusal beside empty text", "refusal beside text", "filter"],
)
def test_a_refusal_is_the_agents_failure(serve: Serve, answer: Answer) -> None:
    server, model = serve(answer)
    with pytest.raises(AgentError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.AGENT_GAVE_UP
    assert len(server.requests) == 1


def test_an_answer_with_an_empty_refusal_is_an_answer(serve: Serve) -> None:
    _, model = serve(reply("yes", message={"refusal": None}))
    assert model.complete(request()).content == "yes"


@pytest.mark.parametrize(
    "arguments",
    [
        "{not json",
        "[1]",
        '"text"',
        "null",
        '{"command": 1e400}',
        '{"command": ' + "[" * 30 + "]" * 30 + "}",
        '{"command": NaN}',
        '{"command": "\\ud83d"}',
        '{"a": 1, "a": 2}',
    ],
)
def test_malformed_arguments_are_kept_as_text_for_the_model_to_be_told(serve: Serve, arguments: str) -> None:
    _, model = serve(reply(calls=[call(arguments)]))
    assert dict(model.complete(request()).tool_calls[0].arguments) == {MALFORMED_ARGUMENTS: arguments}


def test_half_a_character_is_replaced_and_a_whole_one_is_not(serve: Serve) -> None:
    half, whole = r"a\ud83d b", r"\ud83d\ude00"
    text = json.dumps(reply("HALF", message={"reasoning_content": "WHOLE"}).body)
    _, model = serve(Answer(body=text.replace("HALF", half).replace("WHOLE", whole).encode()))

    answer = model.complete(request())

    assert (answer.content, answer.reasoning) == ("a\ufffd b", "\U0001f600")


def test_calls_of_one_reply_have_different_ids(serve: Serve) -> None:
    _, model = serve(reply(calls=[call({"command": text}) for text in "abc"] + [call({}, call_id="call_1-2")]))

    calls = model.complete(request()).tool_calls

    assert [call.arguments.get("command") for call in calls] == ["a", "b", "c", None]
    assert len({call.tool_call_id for call in calls}) == 4


@pytest.mark.parametrize(
    "answer",
    [
        reply([{"type": "text", "text": "no text"}]),  # type: ignore[arg-type]
        reply(calls=[{"id": "a", "type": "function"}]),
    ],
    ids=["content", "call"],
)
def test_a_reply_that_nobody_can_read_is_not_paid_for_again(serve: Serve, answer: Answer) -> None:
    server, model = serve(answer, reply("another"))
    with pytest.raises(BlockedError) as caught:
        model.complete(request())
    assert not isinstance(caught.value, InfrastructureError)
    assert caught.value.cause is Cause.INTERNAL_ERROR
    assert "Traceback" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_page_in_place_of_a_reply_passes(serve: Serve, pauses: list[float]) -> None:
    server, model = serve(Answer(body=b"<html>"), Answer(body=b""), reply("at last"))
    assert model.complete(request()).content == "at last"
    assert len(server.requests) == 3


@pytest.mark.parametrize("parameters", [{"response_format": "jsn"}, {"extra_body": "x"}])
def test_a_request_that_cannot_be_made_is_tried_once_and_says_why(
    serve: Serve, pauses: list[float], parameters: dict[str, Any]
) -> None:
    server, model = serve(reply("never"), parameters=parameters)
    with pytest.raises(BlockedError) as caught:
        model.complete(request())
    assert caught.value.cause is Cause.INTERNAL_ERROR
    assert "parameters" in str(caught.value)
    assert (server.requests, pauses) == ([], [])


def test_a_package_that_litellm_misses_is_named() -> None:
    try:
        try:
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        except ImportError as error:
            raise RuntimeError("the provider's library failed") from error
    except RuntimeError as error:
        found = classify(error, model="openai/test", key_names=())
    assert isinstance(found, BlockedError)
    assert found.cause is Cause.DEPENDENCY_MISSING
    assert "python -m pip install fastapi" in str(found)


def test_a_missing_key_is_found_before_anything_is_asked() -> None:
    with pytest.raises(BlockedError) as caught:
        LiveModel("openai/gpt-4o")
    assert caught.value.cause is Cause.KEY_MISSING
    assert "export OPENAI_API_KEY=..." in str(caught.value)


def test_a_name_that_litellm_does_not_know_is_found_before_anything_is_asked() -> None:
    with pytest.raises(BlockedError) as caught:
        LiveModel("no-such-provider/model")
    assert caught.value.cause is Cause.CONFIGURATION
    assert "no-such-provider/model" in str(caught.value)


def test_an_endpoint_of_ones_own_needs_no_key(serve: Serve) -> None:
    server, model = serve(reply("ok"))
    model.complete(request())
    headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert headers["authorization"] == "Bearer not-needed"
