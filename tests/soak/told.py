"""What an answer, or an error, of the library says of a write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from resilient_ddb import ResilienceError

from .model import Told

_OWN_END = (TimeoutError,)
"""The worker itself ended the call: nothing is told."""


def told_by(error: BaseException) -> Told:
    """Return what an error says of the write that ended in it."""
    facts = getattr(error, "resilience", None)
    if facts is None:
        return Told.UNSURE
    return Told.UNSURE if facts.ambiguous else Told.NOT_APPLIED


def words_of(outcome: Any) -> str:
    """Return what an error says of its call, in a few words; nothing for an answer."""
    if not isinstance(outcome, BaseException):
        return ""
    facts = getattr(outcome, "resilience", None)
    told = f", {facts.attempts} attempts, stopped by {facts.stopped_by or 'nothing'}" if facts is not None else ""
    return f"{type(outcome).__name__} ({code_of(outcome)}){told}"


def may_come_again(answer: Mapping[str, Any]) -> bool:
    """Return whether a write that succeeded was sent more than once, so that a lost request may still arrive."""
    return bool(answer.get("ResponseMetadata", {}).get("RetryAttempts", 1))


def complaint(error: BaseException) -> str | None:
    """Return what is wrong with an error as such; None where it is one that the library may raise here."""
    name = type(error).__name__
    if isinstance(error, ResilienceError):
        return None
    facts = getattr(error, "resilience", None)
    if facts is None:
        return None if isinstance(error, _OWN_END) else f"{name} says nothing of the call: {error}"
    if not isinstance(error, ClientError | BotoCoreError):
        return f"{name} is no error of botocore's: {error}"
    if facts.kind == "permanent" and not is_nameless(error):
        return f"{name} blames the request, which is in order: {error}"
    return None


def is_nameless(error: BaseException) -> bool:
    """Return whether the error of the service came without its name, in a body that was damaged."""
    return code_of(error).isdecimal()


def code_of(error: BaseException) -> str:
    """Return the service's name for an error, or the error's own."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def is_condition(error: BaseException) -> bool:
    """Return whether DynamoDB says that a condition did not hold, and the error that the write was not made."""
    if told_by(error) is Told.UNSURE:
        return False
    if code_of(error) == "ConditionalCheckFailedException":
        return True
    response = getattr(error, "response", None) or {}
    reasons = response.get("CancellationReasons") or ()
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)
