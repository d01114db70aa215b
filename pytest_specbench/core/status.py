"""The words for how things ended: the status of a benchmark run, the outcome of a trial, and the cause of both."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Status of one benchmark run, as the report and the exit code give it."""

    PASS = "pass"  # noqa: S105 - a status, no secret
    REGRESSION = "regression"
    BLOCKED = "blocked"
    PROVISIONAL = "provisional"


class Outcome(StrEnum):
    """What one trial says about the agent. `infrastructure` says nothing about it and is never scored."""

    SUCCESS = "success"
    FAILURE = "failure"
    INFRASTRUCTURE = "infrastructure"


class Cause(StrEnum):
    """Why a trial or a benchmark run ended as it did. Every cause belongs to exactly one class below."""

    # success
    VERIFIED = "verified"
    ACKNOWLEDGED = "acknowledged"
    # functional failures: the agent's doing
    VERIFIER_SAID_NO = "verifier_said_no"
    ARTIFACT_MISSING = "artifact_missing"
    ARTIFACT_INVALID = "artifact_invalid"
    AGENT_GAVE_UP = "agent_gave_up"
    AGENT_CRASHED = "agent_crashed"
    AGENT_TIMEOUT = "agent_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    STEP_LIMIT = "step_limit"
    TOKEN_LIMIT = "token_limit"  # noqa: S105 - a cause, no secret
    COST_LIMIT = "cost_limit"
    DENIED = "denied"
    TRAJECTORY_INVALID = "trajectory_invalid"
    REPLAY_OUTCOME_CHANGED = "replay_outcome_changed"
    # a tracked metric is worse than its policy allows
    METRIC_REGRESSION = "metric_regression"
    # infrastructure: repeated once among several trials, never scored
    SETUP_FAILED = "setup_failed"
    SANDBOX_FAILED = "sandbox_failed"
    PROVIDER_FAILED = "provider_failed"
    VERIFIER_CRASHED = "verifier_crashed"
    VERIFIER_TIMEOUT = "verifier_timeout"
    # blocked before or instead of judging
    REPLAY_DIVERGED = "replay_diverged"
    METRIC_UNMEASURED = "metric_unmeasured"
    ENGINE_MISSING = "engine_missing"
    IMAGE_MISSING = "image_missing"
    DATASET_MISSING = "dataset_missing"
    KEY_MISSING = "key_missing"
    DEPENDENCY_MISSING = "dependency_missing"
    APPROVAL_MODE = "approval_mode"
    NOT_ISOLATED = "not_isolated"
    HOST_TOO_SMALL = "host_too_small"
    CONFIGURATION = "configuration"
    UNCLEAN_REPOSITORY = "unclean_repository"
    PARITY = "parity"
    BASELINE_INVALID = "baseline_invalid"
    APPROVAL_NEEDED = "approval_needed"
    SESSION_COST_CAP = "session_cost_cap"
    NO_VERDICT = "no_verdict"
    INTERRUPTED = "interrupted"
    INTERNAL_ERROR = "internal_error"


FUNCTIONAL_FAILURES = frozenset(
    {
        Cause.VERIFIER_SAID_NO,
        Cause.ARTIFACT_MISSING,
        Cause.ARTIFACT_INVALID,
        Cause.AGENT_GAVE_UP,
        Cause.AGENT_CRASHED,
        Cause.AGENT_TIMEOUT,
        Cause.OUT_OF_MEMORY,
        Cause.STEP_LIMIT,
        Cause.TOKEN_LIMIT,
        Cause.COST_LIMIT,
        Cause.DENIED,
        Cause.TRAJECTORY_INVALID,
        Cause.REPLAY_OUTCOME_CHANGED,
    }
)
"""Causes that count against the agent: exit 1."""

REPEATABLE = frozenset(
    {Cause.SETUP_FAILED, Cause.SANDBOX_FAILED, Cause.PROVIDER_FAILED, Cause.VERIFIER_CRASHED, Cause.VERIFIER_TIMEOUT}
)
"""Infrastructure causes that may be a passing fault: one such trial among several is repeated once."""

EXIT_PASS, EXIT_REGRESSION, EXIT_BLOCKED, EXIT_NOT_FOUND, EXIT_REFUSED = 0, 1, 2, 3, 4
"""Exit codes of the command-line contract."""
