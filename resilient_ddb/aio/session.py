"""The way in: `resource`, `client`, `table`, `harden` and `set_policy`, for aiobotocore."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from boto3.resources.base import ServiceResource
from botocore.client import BaseClient

from resilient_ddb.hooks.host import (
    bound,
    check_config,
    check_new_policy,
    check_options,
    check_policy,
    check_service,
    default_options,
    set_policy_of_session,
    settled_config,
    ttl_of_tables,
)
from resilient_ddb.hooks.host import set_policy as set_policy_of_client
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.living import living

from .clients import AioHost, is_aio_client, is_aio_session
from .lazy import Lazy, LazyClient
from .refreshing import share_between_loops
from .resources import resource_class, service_model, shared_loader
from .tables import AsyncServiceResource, AsyncTable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

    from resilient_ddb.policy.policy import Policy
    from resilient_ddb.ttl.rule import TimeToLive
    from resilient_ddb.ttl.tables import TtlTables

Target = TypeVar("Target")
_CREATE_CLIENT = inspect.signature(botocore.session.Session.create_client)
_NEVER_PICKLED = ("service_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def client(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: Any = None,
    ttl: Mapping[str, str | TimeToLive] | None = None,
    **kwargs: Any,
) -> DynamoDBClient:
    """Return a hardened low-level client: opened with `async with`, as aiobotocore's, or with its first call.

    At module scope it follows the running event loop, as `table` does; what is no verb, such as `get_paginator`, is
    there once it is open.

    Args:
        service_name: `"dynamodb"`.
        args: aiobotocore's further arguments, by position: `region_name`, `api_version`, `use_ssl`, `verify`, ...
        policy: how calls are made; the default `Policy()` if left out, with the attempts that the Config's
            `retries` or `AWS_MAX_ATTEMPTS` state.
        session: the aiobotocore (or aioboto3) Session to build on; one of this library's if left out. It stays as
            it is: only this client is hardened.
        ttl: the TTL attributes of tables, by the tables' names: `{"sessions": "expires_at"}`, or a `TimeToLive` in
            place of an attribute's name. Items of theirs that have expired are left out of all answers.
        kwargs: aiobotocore's further arguments, by name. A `config` of the caller's wins over our timeouts and pool.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    arguments = _arguments("client", service_name, args, kwargs, policy, session)
    tables = ttl_of_tables(ttl)

    async def open_client(by: Policy | None) -> Any:
        return await _open(arguments, by, session, tables)

    return cast("DynamoDBClient", LazyClient(open_client, _verbs(), None, policy, tables, {}))


def resource(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: Any = None,
    ttl: Mapping[str, str | TimeToLive] | None = None,
    **kwargs: Any,
) -> AsyncServiceResource:
    """Return a hardened resource: for module scope, or to be opened with `async with`, as aioboto3's. See `client`.

    At module scope it opens with the first call, and follows the running event loop, as `table` does. Its Tables
    share its client. An `async with` block returns a resource whose client is open, and closes it as it ends.
    """
    arguments = _arguments("resource", service_name, args, kwargs, policy, session)
    cls: Any = resource_class("dynamodb")
    return cast("AsyncServiceResource", cls(client=_lazy(None, arguments, policy, session, ttl_of_tables(ttl))))


def table(
    name: str,
    *,
    policy: Policy | None = None,
    session: Any = None,
    ttl: str | TimeToLive | None = None,
    **kwargs: Any,
) -> AsyncTable:
    """Make a hardened Table that needs no context manager: for module scope.

    It opens on first use, and follows the running event loop: over repeated `asyncio.run` calls, each loop gets a
    client of its own, which is closed as the loop shuts down.

    Args:
        name: the table's name.
        policy: how calls are made. See `client`.
        session: the aiobotocore (or aioboto3) Session to build on. See `client`.
        ttl: the name of the TTL attribute: items that have expired are left out of all answers. `"auto"` looks it up
            with DescribeTimeToLive before the first call that needs it. A `TimeToLive` says more.
        kwargs: aiobotocore's arguments for a client: `region_name`, `endpoint_url`, `config`, ...

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    check_options(policy, ttl)
    return _lazy_table(name, policy, session, None if ttl is None else {name: ttl}, kwargs)


def restore_table(name: str, recipe: dict[str, Any]) -> AsyncTable:
    """Make a Table of what was pickled of one."""
    kwargs = dict(recipe)
    return _lazy_table(name, kwargs.pop("policy"), None, kwargs.pop("ttl"), kwargs)


def _lazy_table(
    name: str,
    policy: Policy | None,
    session: Any,
    ttl: Mapping[str, str | TimeToLive] | None,
    kwargs: dict[str, Any],
) -> AsyncTable:
    """Make a Table that opens on first use; its client knows the TTLs of `ttl`'s tables."""
    arguments = _arguments("table", "dynamodb", (), kwargs, policy, session)
    made: Any = resource_class("Table")(name, client=_lazy(name, arguments, policy, session, ttl_of_tables(ttl)))
    made._owns_client = True  # noqa: SLF001 - it was made here
    return cast("AsyncTable", made)


def _lazy(
    table: str | None, arguments: dict[str, Any], policy: Policy | None, session: Any, ttl: TtlTables | None
) -> LazyClient:
    """Return a client for a resource, or for one Table, that opens on first use."""

    async def open_client(by: Policy | None) -> Any:
        made = await _open(arguments, by, session, ttl)
        made._resilience.host.use_native_values()  # noqa: SLF001 - the attribute is this library's own
        return made

    kept = {name: value for name, value in arguments.items() if name not in _NEVER_PICKLED}
    return LazyClient(open_client, _verbs(), table, policy, ttl, {"ttl": None if ttl is None else ttl.by_table, **kept})


AsyncTable._restore = staticmethod(restore_table)  # noqa: SLF001 - handed in, as this module builds on that one


@names_checked
def harden(target: Target, policy: Policy | None = None) -> Target:
    """Harden what exists already, in place, and return it: an aiobotocore or aioboto3 session, client, or resource.

    See `resilient_ddb.harden`, which is the same, and takes boto3's as well. What this module makes is hardened
    already: with a `policy`, that is set.

    Args:
        target: what to harden. Also an aioboto3 Session, resource or Table.
        policy: how calls are made. See `client`.

    Raises:
        TypeError: `target` is none of these.
        ValueError: `target` can't be hardened: another service's, or a client in adaptive mode.
    """
    check_policy(policy)
    if _is_own(target):
        if policy is not None:
            set_policy(target, policy)
        return target
    session = _botocore_session(target)
    if session is not None:
        AioHost.install_on_session(session, policy)
    elif isinstance(target, ServiceResource) and is_aio_client(target.meta.client):
        AioHost.harden(target.meta.client, policy, native=True)
    elif is_aio_client(target):
        AioHost.harden(target, policy)
    else:
        raise _no_target(target, "harden")
    return target


@names_checked
def set_policy(target: Target, policy: Policy) -> Target:
    """Set another policy for what is hardened already, from now on, and return it.

    See `resilient_ddb.set_policy`, which is the same, and takes boto3's as well.

    Args:
        target: an aiobotocore or aioboto3 session, client, resource or Table that was hardened, or what this module
            makes, open or not.
        policy: how calls are made. See `client`.

    Raises:
        TypeError: `target` is none of these, or is not hardened; `policy` is none.
    """
    check_new_policy(policy)
    lazy = target if isinstance(target, Lazy) else getattr(getattr(target, "meta", None), "client", None)
    if isinstance(lazy, Lazy):
        lazy.set_policy(policy)
    elif (session := _botocore_session(target)) is not None:
        set_policy_of_session(target, session.get_component("event_emitter"), policy)
    elif isinstance(target, ServiceResource) and is_aio_client(target.meta.client):
        set_policy_of_client(target.meta.client, policy)
    elif is_aio_client(target):
        set_policy_of_client(target, policy)
    else:
        raise _no_target(target, "set_policy")
    return target


def _is_own(target: Any) -> bool:
    """Return whether something opens by itself: it is made here, and hardened."""
    return isinstance(target, Lazy) or (isinstance(target, ServiceResource) and isinstance(target.meta.client, Lazy))


def _no_target(target: Any, function: str) -> TypeError:
    if isinstance(target, BaseClient | ServiceResource | botocore.session.Session):
        return TypeError(f"target must be of aiobotocore; got {target!r}: use resilient_ddb.{function} for sync ones")
    return TypeError(
        f"target must be an aiobotocore session or DynamoDB client, or a resource on one; got {type(target).__name__}"
    )


def _arguments(
    function: str, service_name: Any, args: tuple[Any, ...], kwargs: dict[str, Any], policy: Any, session: Any
) -> dict[str, Any]:
    """Check what was given, before anything is opened, and give `create_client`'s arguments by name."""
    check_service(service_name)
    check_policy(policy)
    if session is not None and _botocore_session(session) is None:
        raise TypeError(f"session must be an aiobotocore or aioboto3 session; got {session!r}")
    arguments = bound(function, _CREATE_CLIENT, [None, service_name, *args], kwargs)
    del arguments["self"]
    check_config(arguments.get("config"))
    return arguments


async def _open(arguments: dict[str, Any], policy: Policy | None, session: Any, ttl: TtlTables | None) -> Any:
    chosen = _botocore_session(session) or _own_session()
    config = settled_config(AioConfig(**default_options(policy)), chosen, arguments.get("config"))
    given = getattr(arguments.get("config"), "http_session_cls", AIOHTTPSession)
    if given is not AIOHTTPSession:
        config.http_session_cls = given  # aiobotocore 3.0's `merge` loses it
    made = await chosen.create_client(**{**arguments, "config": config}).__aenter__()
    hardened = AioHost.install(made, policy)
    core = hardened._resilience  # noqa: SLF001 - the attribute is this library's own
    core.host.config, core.host.verify, core.ttl = config, arguments.get("verify"), ttl
    share_between_loops(core.host.credentials())
    return hardened


def _botocore_session(session: Any) -> AioSession | None:
    """Return the aiobotocore session behind a session: itself, or what an aioboto3 Session holds."""
    if is_aio_session(session):
        return session
    inner = getattr(session, "_session", None)
    return inner if is_aio_session(inner) else None


_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AioSession] = weakref.WeakKeyDictionary()


def _own_session() -> AioSession:
    """Return this library's session for the running loop: what it keeps (credentials' locks) belongs to the loop."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None:
        for other in living(_sessions):  # a lock for which somebody waited knows its loop, and would keep both
            if other.is_closed():
                _sessions.pop(other, None)
        session = _sessions[loop] = AioSession()
        session.register_component("data_loader", shared_loader())
    return session


def _verbs() -> frozenset[str]:
    from botocore import xform_name  # noqa: PLC0415 - only here

    return frozenset(xform_name(name) for name in service_model().operation_names)
