"""What the tests of the shorter ways through botocore make their clients of: credentials, wires, and others' parts."""

from __future__ import annotations

import copy
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.loaders
import botocore.session
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.credentials import Credentials
from botocore.hooks import BaseEventHooks, HierarchicalEmitter
from botocore.serialize import JSONSerializer, create_serializer
from botocore.useragent import UserAgentString
from botocore.validate import ParamValidationDecorator, ParamValidator
from shortcut_support import REGION, facts, headers_of, is_signed_well, secret_of

import resilient_ddb as rddb

LOADER = botocore.loaders.create_loader()
"""Reads the service's model once for all sessions."""


class Given:
    """Stands in for botocore's chain of credential providers."""

    def __init__(self, credentials: Any) -> None:
        self.credentials = credentials

    def load_credentials(self) -> Any:
        """Return the credentials that were given."""
        return self.credentials


class AioGiven(Given):
    """The same for aiobotocore."""

    async def load_credentials(self) -> Any:
        """Return the credentials that were given."""
        return self.credentials


def with_credentials(session: Any, credentials: Any, provider: type = Given) -> Any:
    """Return a botocore session these credentials, and a loader that need not read again."""
    session.register_component("data_loader", LOADER)
    session.register_component("credential_provider", provider(credentials))
    return session


def keys(number: int, account: str | None = None) -> dict[str, Any]:
    """Return what botocore's Credentials take."""
    access_key = f"AKID{number}"
    return {"access_key": access_key, "secret_key": secret_of(access_key), "token": None, "account_id": account}


class Rotation:
    """Keys with an account each, of which the next are given when the last have expired."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.number = 1

    def advance(self) -> None:
        """Let the keys expire."""
        self.now += timedelta(hours=2)

    def first(self) -> dict[str, Any]:
        """Return the arguments of RefreshableCredentials, apart from `refresh_using`."""
        expiry = self.now + timedelta(hours=1)
        return {**self._keys(), "expiry_time": expiry, "method": "test", "time_fetcher": lambda: self.now}

    def refresh(self) -> dict[str, Any]:
        """Return the next keys, as botocore's `refresh_using` does."""
        self.number += 1
        return {**self._keys(), "expiry_time": (self.now + timedelta(hours=1)).isoformat()}

    def _keys(self) -> dict[str, Any]:
        return {**keys(self.number, str(self.number) * 12), "token": f"token{self.number}"}


class Raw(io.BytesIO):
    """A body, as botocore reads it from a connection."""

    def stream(self, **_):
        yield self.read()


def by_name(client, operation):
    """Return a client's method for an operation."""
    return getattr(client, xform_name(operation))


class Wired:
    """A client whose requests are answered before they are sent, and kept."""

    def __init__(self, client):
        self.client = client
        self.sent: list[Any] = []
        self.answers: list[tuple[int, bytes]] = []
        client.meta.events.register_last("before-send.dynamodb", self.answer)

    def answer(self, request, **_):
        status, body = self.noted(request)
        return AWSResponse(request.url, status, {}, Raw(body))

    def noted(self, request):
        """Keep a request, and give its answer."""
        self.sent.append(request)
        return self.answers.pop(0) if self.answers else (200, b'{"UnprocessedItems": {}}')

    def call(self, operation, **params):
        """Return what is sent for a call, or what the call raises."""
        try:
            by_name(self.client, operation)(**copy.deepcopy(params))
        except Exception as error:  # noqa: BLE001 - whatever boto3 raises is to be raised
            return type(error).__name__, str(error)
        return self.last()

    def last(self):
        """Return what was sent last, with the signature looked at."""
        request = self.sent[-1]
        assert headers_of(request).get("authorization") is None or is_signed_well(request)
        return facts(request)


def wire_both(opened, credentials=None, prepare=None, policy=None, events=None, **arguments) -> list[Wired]:
    """Return a plain client and a hardened one, made with equal arguments.

    `credentials` are shared, or a function that makes them for each; `prepare` is done to each client, before it is
    hardened; `events` makes the events of each session.
    """
    made = []
    for hardened in (False, True):
        given = credentials() if callable(credentials) else credentials or Credentials(**keys(1))
        session = with_credentials(botocore.session.Session(event_hooks=events and events()), given)
        client = session.create_client("dynamodb", **{"region_name": REGION, **arguments})
        opened.callback(client.close)
        if prepare is not None:
            prepare(client)
        if hardened:
            rddb.harden(client, policy=policy)
        made.append(Wired(client))
    return made


# Parts that are not botocore's own.


class MySerializer(ParamValidationDecorator):
    def serialize_to_request(self, parameters, operation_model):
        request = super().serialize_to_request(parameters, operation_model)
        return {**request, "headers": {**request["headers"], "X-Mine": "a"}}


class MyJSON(JSONSerializer):
    def serialize_to_request(self, parameters, operation_model):
        return super().serialize_to_request({**parameters, "ReturnConsumedCapacity": "TOTAL"}, operation_model)


class MyValidator(ParamValidator):
    def validate(self, params, shape):
        return super().validate({} if params.get("TableName") == "customers" else params, shape)


class MyAgent(UserAgentString):
    def to_string(self):
        return f"{super().to_string()} mine"


SERIALIZERS = {
    "own JSON": MyJSON(),
    "own JSON within": ParamValidationDecorator(ParamValidator(), MyJSON()),
    "another protocol within": ParamValidationDecorator(
        ParamValidator(), create_serializer("query", include_validation=False)
    ),
    "own validation": ParamValidationDecorator(MyValidator(), JSONSerializer()),
}


class OtherHooks(BaseEventHooks):
    """Events of another's making, which keep their handlers where nobody can look."""

    def __init__(self, inner=None):
        self.__inner = inner or HierarchicalEmitter()
        for name in ("emit", "emit_until_response", "register", "register_first", "register_last", "unregister"):
            setattr(self, name, getattr(self.__inner, name))

    def __copy__(self):
        return OtherHooks(copy.copy(self.__inner))
