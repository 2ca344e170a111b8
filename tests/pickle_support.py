"""Errors that faults on the wire make, and what has to be left of them behind a pickle."""

import copy
import pickle

import resilient_ddb as rddb
from resilient_ddb.testing import faults

QUICK = rddb.Timeouts(connect=5.0, read=0.3)
PATIENT = rddb.Timeouts(connect=30.0, read=30.0)
ITEM = {"pk": "a", "note": "THE ITEM"}
FAULTS = {
    "hangs": faults.Hang(),
    "reset before": faults.ResetBefore(),
    "reply lost": faults.LoseReply(),
    "body cut": faults.TruncateBody(),
    "short body": faults.ShortBody(),
    "wrong checksum": faults.BadCrc(),
    "no JSON": faults.BadJson(),
    "HTML": faults.HtmlError(),
    "throttled": faults.Throttle(),
    "500": faults.ServerError(),
    "refused": faults.ErrorResponse(code="AccessDeniedException"),
    "condition": None,
    "invalid": None,
    "nobody listens": None,
    "circuit open": faults.ServerError(),
    "deadline": faults.ServerError(),
}
WRITES = {
    "put_item": {"Item": ITEM},
    "update_item": {
        "Key": {"pk": "a"},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": 1},
    },
}


def policy(name):
    breaker = rddb.CircuitBreaker(minimum_calls=1) if name == "circuit open" else None
    timeouts = QUICK if name == "hangs" else PATIENT  # no other error becomes a timeout on a slow machine
    return rddb.Policy(retry=rddb.Retry(max_attempts=2, base_delay=0.0), timeouts=timeouts, circuit_breaker=breaker)


def params(name, verb):
    """Return the parameters with which a verb fails so."""
    made = dict(WRITES[verb])
    if name == "condition":
        made["ConditionExpression"] = "attribute_exists(nothing)"
    if name == "invalid":
        made["ReturnValues"] = 5
    return made


def check(error):
    """See that an error is as good behind a pickle, or as a copy, as it was."""
    text = pickle.dumps(error)
    for hidden in (b"AWS4-HMAC-SHA256", b"Authorization"):
        assert hidden not in text
    for back in (pickle.loads(text), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - our own
        assert isinstance(error, type(back))
        assert (str(back), back.__notes__) == (str(error), error.__notes__)
        assert back.resilience == error.resilience
        assert getattr(back, "items", None) == getattr(error, "items", None)
        assert str(back.__cause__) == str(error.__cause__)
        assert isinstance(error.__cause__, type(back.__cause__))


BATCH = [{"PutRequest": {"Item": {"pk": str(number)}}} for number in range(3)]
