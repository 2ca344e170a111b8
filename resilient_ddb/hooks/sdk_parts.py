"""What lies between a client's `_make_api_call` and its HTTP session: whether all of it is as it was made.

Instrumentation and mocks replace functions of the SDK, on its classes or on one object. A call goes past the SDK's
inside only while none was replaced: each of them must see what it sees with boto3. Functions are compared by `is`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import FunctionType
from typing import Any

import botocore.auth
from botocore.history import HISTORY_RECORDER

from resilient_ddb.codec.originals import Original, Parts, home_of, part, sameness

from . import signing

Functions = Mapping[tuple[str, str], Sequence[str]]
"""The names of functions by the module and the class that they are found in."""

_SDKS_CLIENTS = {("botocore.client", "BaseClient"), ("aiobotocore.client", "AioBaseClient")}
_OF_CLIENT = (
    "_make_request",
    "_emit_api_params",
    "_resolve_endpoint_ruleset",
    "_convert_to_request_dict",
)
_OF_ENDPOINT = (
    *("make_request", "create_request", "prepare_request", "_send_request", "_send", "_get_response"),
    *("_do_get_response", "_needs_retry", "_update_retries_context", "_set_ttl", "_calculate_ttl"),
    "_add_modeled_error_fields",
)
_OF_SIGNER = ("handler", "sign", "_choose_signer", "get_auth_instance")
_OF_EVENTS = ("emit", "emit_until_response")
_OF_EMITTER = ("emit", "emit_until_response", "_emit")
BOTOCORE: Functions = {
    ("botocore.client", "BaseClient"): ("_make_api_call", *_OF_CLIENT),
    ("botocore.endpoint", "Endpoint"): _OF_ENDPOINT,
    ("botocore.signers", "RequestSigner"): _OF_SIGNER,
    ("botocore.hooks", "EventAliaser"): _OF_EVENTS,
    ("botocore.hooks", "HierarchicalEmitter"): _OF_EMITTER,
    ("botocore.auth", "SigV4Auth"): ("add_auth", "string_to_sign", "scope", "credential_scope", *signing.METHODS),
    ("botocore.awsrequest", "AWSRequest"): ("prepare",),
    ("botocore.awsrequest", "AWSRequestPreparer"): ("prepare",),
    ("botocore.parsers", "ResponseParser"): ("parse",),
    ("botocore.parsers", "JSONParser"): ("_do_parse", "_do_error_parse"),
    ("botocore.regions", "EndpointRulesetResolver"): ("construct_endpoint",),
    ("botocore.useragent", "UserAgentString"): ("to_string", "rebuild_and_replace_user_agent_handler"),
    ("botocore.serialize", "JSONSerializer"): ("serialize_to_request",),
    ("botocore.validate", "ParamValidator"): ("validate",),
    ("botocore.validate", "ParamValidationDecorator"): ("serialize_to_request",),
}
"""For the clients of boto3, and beneath those of aiobotocore."""

_LOGS = [
    (log, log._cache if type(log) is logging.Logger else {})  # type: ignore[attr-defined]  # noqa: SLF001 - see below
    for name in ("hooks", "endpoint", "parsers", "auth", "regions", "client", "credentials", "awsrequest")
    for log in [logging.getLogger(f"botocore.{name}")]
]
"""The loggers, and where each keeps what `isEnabledFor` has found, until somebody sets a level: that is half the work
to look at."""
_SIGNATURE = "v4"
_HOMES_OF_SIGNING = ("botocore.auth", "botocore.crt.auth")
_get_context = part("botocore.context", "get_context")

# What a client is made of. Where a shorter way of this library's own stands in an object, it is one object each time;
# where it does not, a method is bound anew, and is never the one that was found before.
_PIECES = (
    *("_endpoint", "_serializer", "_request_signer", "_ruleset_resolver", "_user_agent_creator", "meta"),
    *("_endpoint.http_session", "_endpoint._response_parser_factory", "_endpoint._event_emitter"),
    *("_request_signer.get_auth_instance", "_request_signer._region_name", "_request_signer._signing_name"),
    *("_request_signer._signature_version", "_request_signer._event_emitter", "_ruleset_resolver.construct_endpoint"),
    *("_user_agent_creator.to_string", "meta.events", "meta.events._emitter"),
    *("meta.config.user_agent", "meta.config.user_agent_extra", "meta.config.user_agent_appid"),
    *("meta.config.read_timeout", "__class__"),
)
_OWN_PIECES = (
    "_request_signer.get_auth_instance",
    "_ruleset_resolver.construct_endpoint",
    "_user_agent_creator.to_string",
)


def _signing() -> Any:
    """Return the function that signs requests: that of the class that botocore makes signers of at this time."""
    return botocore.auth.AUTH_TYPE_MAPS[_SIGNATURE].add_auth


class SdkParts(Original):
    """Functions of the SDK's classes: of the clients that one rim makes."""

    def __init__(self, *functions: Functions) -> None:
        classes: dict[str, Any] = {}
        names: list[str] = []
        homes: set[str] = {"botocore.context", "aiobotocore.context"}  # of what is decorated
        for known in functions:
            for (module, cls), members in known.items():
                found = part(module, cls) if signing.HAS_BLACKLIST else None
                classes[f"c{len(classes)}"] = found
                names += [f"c{len(classes) - 1}.{member}" for member in members]
                homes |= {getattr(base, "__module__", "") for base in getattr(found, "__mro__", ())}
        super().__init__(Parts(**classes), names, *homes)


def somebody_watches() -> str | None:
    """Return what takes note of all that botocore does, or of who asked for it; None if nothing does."""
    for log, known in _LOGS:
        if known.get(logging.DEBUG) is not False and log.isEnabledFor(logging.DEBUG):
            return "a debug log of botocore's"
    if getattr(HISTORY_RECORDER, "_enabled", True):
        return "botocore's history"
    if _get_context is None or _get_context() is not None:
        return "features for the User-Agent"
    return None


class Pieces:
    """The objects that one client is made of."""

    def __init__(self, client: Any, first: type) -> None:
        """Remember them. `first` is the class of this library that comes before the SDK's own ones.

        Raises:
            AttributeError: the client is made otherwise.
        """
        by_name = {name: attrgetter(name)(client) for name in _PIECES}
        self._add_auth = _signing()
        self.are_signed_as_usual = (
            by_name["_request_signer._signature_version"] == _SIGNATURE
            and type(self._add_auth) is FunctionType
            and home_of(self._add_auth) in _HOMES_OF_SIGNING
        )
        """Whether requests are signed by botocore: by its own signer, or by the one that it has for awscrt."""
        self.own_functions = [by_name[name] for name in _OWN_PIECES]
        mro = type(client).__mro__
        behind = mro.index(first)
        sdks = next(at for at, cls in enumerate(mro) if (cls.__module__, cls.__qualname__) in _SDKS_CLIENTS)
        for name in _OF_CLIENT:
            by_name[f"__class__.{name}"] = getattr(mro[sdks], name)
        self._are_same = sameness(
            list(by_name),
            list(by_name.values()),
            without=[
                *((vars(cls), ("_make_api_call",)) for cls in mro[behind + 1 : sdks]),
                (vars(client._endpoint), _OF_ENDPOINT),  # noqa: SLF001 - there is no public way
                (vars(client._request_signer), {*_OF_SIGNER} - {"get_auth_instance"}),  # noqa: SLF001 - as above
                (vars(client._serializer), ("serialize_to_request",)),  # noqa: SLF001 - as above
                (vars(client._endpoint.http_session), ("send",)),  # noqa: SLF001 - as above
                (vars(client.meta.events), _OF_EVENTS),
                (vars(client.meta.events._emitter), _OF_EMITTER),  # noqa: SLF001 - as above
            ],
        )

    def stand(self, client: Any) -> bool:
        """Return whether a client, or a view of it, is made of just these, and nobody put a function into one."""
        if not self._are_same(client) or _signing() is not self._add_auth:
            return False
        held = vars(client)
        for name in _OF_CLIENT:  # noqa: SIM110 - a generator takes half as long again
            if name in held:
                return False
        return True
