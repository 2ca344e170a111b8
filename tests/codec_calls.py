"""boto3 and this library side by side, with one canned answer in the place of DynamoDB."""

from __future__ import annotations

import json
from contextlib import contextmanager
from decimal import Decimal

import boto3
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from codec_support import OPERATIONS, exactly, fresh
from emulators import CREDENTIALS, REGION

import resilient_ddb as rddb

ONE_ATTEMPT = Config(retries={"mode": "legacy", "total_max_attempts": 1})
ACCESS = {"region_name": REGION, **CREDENTIALS}
GOOD = {"Item": {"pk": {"S": "a"}, "n": {"N": "1.50"}, "b": {"B": "AA=="}, "s": {"NS": ["1"]}}, "ConsumedCapacity": {}}
KEY = {"pk": "a"}
ITEM = {
    "pk": "a",
    "empty": "",
    "n": 5,
    "d": Decimal("0.5"),
    "l": [{"x"}, {1}, b"b", None, True],
    "m": {"": [Decimal(2)]},
}
ROW = {**GOOD["Item"], "text": {"S": "x" * 9000}}
PAGE = {"Items": [ROW] * 8, "Count": 1, "LastEvaluatedKey": {"pk": {"B": "AA=="}}}
MADE_ANEW = {"ClientRequestToken", "ClientToken"}


class _Body:
    def __init__(self, octets):
        self._octets = octets

    def stream(self):
        yield self._octets


class Canned:
    """Answers each request, and keeps it."""

    def __init__(self, body=GOOD, status=200, headers=()):
        self.answer(body, status, headers)

    def answer(self, body, status=200, headers=()):
        """Answer so from now on."""
        self.octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = {"x-amzn-RequestId": "R", **dict(headers)}
        self.sent = []

    def __call__(self, request, **_):
        self.sent.append(request)
        return AWSResponse(request.url, self.status, self.headers, _Body(self.octets))

    def bodies(self):
        """Return what was sent, without the tokens that are made anew for each call."""
        found = [json.loads(sent.body) for sent in self.sent]
        return exactly([{key: value for key, value in body.items() if key not in MADE_ANEW} for body in found])


class Side:
    """A resource and a low-level client of the same make, and what they were sent."""

    def __init__(self, make_client, make_resource, **options):
        config = ONE_ATTEMPT.merge(Config(**options))
        self._registered = []
        self.canned = Canned()
        self.resource = make_resource("dynamodb", config=config)
        self.table = self.resource.Table("t")
        self.native = self.resource.meta.client
        self.typed = make_client("dynamodb", config=config)
        for client in (self.native, self.typed):
            client.meta.events.register("before-send.dynamodb", self.canned)

    def on(self, event, handler, position="register", clients=("native", "typed")):
        """Register a handler, until `clear`."""
        for name in clients:
            events = getattr(self, name).meta.events
            getattr(events, position)(event, handler)
            self._registered.append((events, event, handler))

    def clear(self):
        """Unregister all that `on` has registered, and answer as at first."""
        for events, event, handler in self._registered:
            events.unregister(event, handler)
        self._registered.clear()
        self.canned.answer(GOOD)

    def end(self, client, operation, params):
        """Make a call, and give how it ended, in a form to compare."""
        return end(getattr(getattr(self, client), xform_name(operation)), **params)

    def close(self):
        """Close the connections."""
        self.native.close()
        self.typed.close()


def boto3_side(**options):
    """Return boto3's."""
    session = boto3.Session(**ACCESS)
    return Side(session.client, session.resource, **options)


def our_side(policy=None, **options):
    """Return ours."""
    session = boto3.Session(**ACCESS)
    policy = policy or rddb.Policy(retry=rddb.Retry(max_attempts=1), circuit_breaker=None, retry_budget=None)

    def make_client(*args, **kwargs):
        return rddb.client(*args, session=session, policy=policy, **kwargs)

    def make_resource(*args, **kwargs):
        return rddb.resource(*args, session=session, policy=policy, **kwargs)

    return Side(make_client, make_resource, **options)


@contextmanager
def both_sides(**options):
    """Return boto3's and ours."""
    sides = boto3_side(**options), our_side(**options)
    try:
        yield sides
    finally:
        for side in sides:
            side.close()


def end(call, *args, **kwargs):
    """Return what a call returned or raised, in a form to compare. How often it was tried is not of interest here."""
    try:
        return "gave", exactly(call(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - whatever the one raises, the other has to raise too
        names = [cls.__name__ for cls in type(error).__mro__]
        response = fresh(getattr(error, "response", None))
        if response:
            response["ResponseMetadata"].pop("MaxAttemptsReached", None)
        return "raised", names, str(error).replace(" (reached max retries: 0)", ""), exactly(response)


def same(sides, script):
    """Run a script on both sides, and give what it gave, in a form to compare: it has to be the same."""
    theirs, ours = [script(side) for side in sides]
    assert ours == theirs, difference(theirs, ours)
    return ours


def difference(theirs, ours):
    """Return the first place where two forms differ: pytest shows only the beginning of what is long."""
    if isinstance(theirs, tuple | list) and isinstance(ours, tuple | list) and len(theirs) == len(ours):
        return next((difference(one, other) for one, other in zip(theirs, ours, strict=True) if one != other), None)
    return f"boto3: {theirs!r:.2000}\nours: {ours!r:.2000}"


def least(shape, value):
    """Return the least parameters that botocore accepts."""
    if shape.name == "AttributeValue":
        return fresh(value)
    size = shape.metadata.get("min", 0)
    if shape.type_name == "structure":
        return {name: least(shape.members[name], value) for name in shape.required_members}
    if shape.type_name == "list":
        return [least(shape.member, value)] * size
    if shape.type_name == "map":
        return {"a": least(shape.value, value)} if size else {}
    if "enum" in shape.metadata:
        return shape.metadata["enum"][0]
    return {"string": "a" * max(size, 3), "boolean": True, "timestamp": 0}.get(shape.type_name, size)


def least_params(operation, client):
    """Return the least parameters for a native or a typed client."""
    return least(OPERATIONS[operation].input_shape, "a" if client == "native" else {"S": "a"})


def calls(side):
    """Write and read with both clients, the second time by what the first has compiled; give how all of it ended."""
    found = []
    for _ in range(2):
        for client in ("native", "typed"):
            found += [side.end(client, name, least_params(name, client)) for name in ("GetItem", "UpdateItem")]
        side.canned.answer(PAGE)
        found.append(end(side.table.query, KeyConditionExpression="a"))
        side.canned.answer(GOOD)
        found.append(end(side.table.put_item, Item=ITEM))
        found.append(side.canned.bodies())
    return found
