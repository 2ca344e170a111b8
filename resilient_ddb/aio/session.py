"""The way in: `resource`, `client`, `table` and `harden`, for aiobotocore."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from boto3.resources.base import ServiceResource
from botocore.client import BaseClient

from resilient_ddb.fallback import Chain
from resilient_ddb.hooks.host import (
    check_config,
    check_policy,
    default_options,
    settings_of_ttl,
    settled_config,
    with_options,
)
from resilient_ddb.http.aio_session import ProtocolSession

from . import connections
from .clients import ResilientAioClient, install_on_client, is_aio_client, is_aio_session
from .lazy import Lazy, LazyClient
from .resources import resource_class, service_model, shared_loader
from .tables import AsyncResource, AsyncServiceResource, AsyncTable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

    from resilient_ddb.calls.core import Core
    from resilient_ddb.fallback import FallbackFunction
    from resilient_ddb.policy.policy import Policy
    from resilient_ddb.ttl.rule import TtlFilter

Target = TypeVar("Target")
_CREATE_CLIENT = inspect.signature(botocore.session.Session.create_client)
_NEVER_PICKLED = ("service_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def client(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: Any = None,
    **kwargs: Any,
) -> DynamoDBClient:
    """Return a hardened low-level client: opened with `async with`, as aiobotocore's, or with its first call.

    At module scope it follows the running event loop, as `table` does; what is no verb, such as `get_paginator`, is
    there once it is open.

    Args:
        service_name: `"dynamodb"`.
        args: aiobotocore's further arguments, by position: `region_name`, `api_version`, `use_ssl`, `verify`, ...
        policy: how calls are made; the default `Policy()` where left out, with the attempts that the Config's
            `retries` or `AWS_MAX_ATTEMPTS` state.
        session: the aiobotocore (or aioboto3) Session to build on; one of this library's where left out. It stays as
            it is: only this client is hardened.
        kwargs: aiobotocore's further arguments, by name. A `config` of the caller's wins over our timeouts and pool.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    arguments = _arguments(service_name, args, kwargs, policy, session)
    return cast("DynamoDBClient", LazyClient(_opener(arguments, policy, session), _verbs(), None, None, {}))


def resource(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: Any = None,
    **kwargs: Any,
) -> AsyncServiceResource:
    """Return a hardened resource: for module scope, or to be opened with `async with`, as aioboto3's. See `client`.

    At module scope it opens with the first call, and follows the running event loop, as `table` does. Its Tables
    share its client. An `async with` block returns a resource whose client is open, and closes it as it ends.
    """
    arguments = _arguments(service_name, args, kwargs, policy, session)
    open_client = _opener(arguments, policy, session)

    async def open_native() -> Any:
        made = await open_client()
        made._resilience.host.use_native_values()  # noqa: SLF001 - the attribute is this library's own
        return made

    cls: Any = resource_class("dynamodb")
    lazy = LazyClient(open_native, _verbs(), None, None, _recipe(arguments, policy))
    return cast("AsyncServiceResource", cls(client=lazy))


def table(
    name: str,
    *,
    policy: Policy | None = None,
    session: Any = None,
    fallback: FallbackFunction | None = None,
    ttl: str | None = None,
    ttl_filter: TtlFilter | None = None,
    ttl_skew: float | None = None,
    **kwargs: Any,
) -> AsyncTable:
    """Make a hardened Table that needs no context manager: for module scope.

    It opens on first use, and follows the running event loop: over repeated `asyncio.run` calls, each loop gets a
    client of its own, which is closed as the loop shuts down.

    Args:
        name: the table's name.
        policy: how calls are made. See `client`.
        session: the aiobotocore (or aioboto3) Session to build on. See `client`.
        fallback: what answers when DynamoDB can't, in place of the policy's. May be async.
        ttl: the name of the TTL attribute: items that have expired are left out of all answers. `"auto"` looks it up
            with DescribeTimeToLive before the first call that needs it.
        ttl_filter: `"client"`, the default: expired items are left out as answers are read. `"server"`: DynamoDB
            leaves them out of Query and Scan as well, and they don't cross the network.
        ttl_skew: seconds by which this machine's clock may be ahead of others: so much later an item counts as
            expired; 0.0 where left out.
        kwargs: aiobotocore's arguments for a client: `region_name`, `endpoint_url`, `config`, ...

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    arguments = _arguments("dynamodb", (), kwargs, policy, session)
    if fallback is not None:
        Chain(fallback)  # refuses what can't answer
    settings = settings_of_ttl(ttl, ttl_filter, ttl_skew)

    open_own = _opener(arguments, policy, session)

    async def open_client() -> Any:
        made = await open_own()
        made._resilience.host.use_native_values()  # noqa: SLF001 - the attribute is this library's own
        return with_options(made, name, fallback=fallback, ttl=settings)

    options = {"fallback": fallback, **(settings.options() if settings else {})}
    lazy = LazyClient(open_client, _verbs(), name, settings, {**_recipe(arguments, policy), **options})
    made: Any = resource_class("Table")(name, client=lazy)
    made._owns_client = True  # noqa: SLF001 - it was made here
    return cast("AsyncTable", made)


def _recipe(arguments: dict[str, Any], policy: Policy | None) -> dict[str, Any]:
    """Return what a Table is made anew from in another process. Never credentials."""
    kept = {name: value for name, value in arguments.items() if name not in _NEVER_PICKLED}
    return {"policy": policy, **kept}


def restore_table(name: str, recipe: dict[str, Any]) -> AsyncTable:
    """Make a Table of what was pickled of one."""
    return table(name, **recipe)


AsyncTable._restore = staticmethod(restore_table)  # noqa: SLF001 - handed in, as this module builds on that one


def harden(target: Target, *, policy: Policy | None = None) -> Target:
    """Harden what exists already, in place: an aiobotocore session, client, or a resource on one. Gives it back.

    A session hardens what it makes from now on. Installing twice replaces the policy, and starts with closed
    circuits. Timeouts and pool size of a client that exists stay as they are.

    Args:
        target: what to harden. Also an aioboto3 Session, resource or Table.
        policy: how calls are made. See `client`.

    Raises:
        TypeError: `target` is none of these.
        ValueError: `target` can't be hardened: another service's, or a client in adaptive mode.
    """
    check_policy(policy)
    session = _botocore_session(target)
    if session is not None:
        _install_on_session(session, policy)
    elif isinstance(target, Lazy) or (isinstance(target, AsyncResource) and isinstance(target.meta.client, Lazy)):
        raise ValueError("target must not be this library's own: it is hardened already, give it policy=... instead")
    elif isinstance(target, ServiceResource) and is_aio_client(target.meta.client):
        install_on_client(target.meta.client, policy, native=True)
    elif is_aio_client(target):
        install_on_client(target, policy)
    elif isinstance(target, BaseClient | ServiceResource | botocore.session.Session):
        raise TypeError(f"target must be of aiobotocore; got {target!r}: use resilient_ddb.harden for sync ones")
    else:
        raise TypeError(
            "target must be an aiobotocore session or DynamoDB client, or a resource on one; "
            f"got {type(target).__name__}"
        )
    return target


def _install_on_session(session: AioSession, policy: Policy | None) -> None:
    class InstalledClient(ResilientAioClient):
        """Hardens itself as the session makes it, before the SDK registers its retries."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            install_on_client(self, policy)

    def add_client_class(base_classes: list[type], **_: Any) -> None:
        base_classes.insert(0, InstalledClient)

    events = session.get_component("event_emitter")
    event = "creating-client-class.dynamodb"
    unique_id = f"resilient_ddb-{event}"
    events.unregister(event, unique_id=unique_id)
    events.register(event, add_client_class, unique_id=unique_id)


def _arguments(
    service_name: Any, args: tuple[Any, ...], kwargs: dict[str, Any], policy: Any, session: Any
) -> dict[str, Any]:
    """Check what was given, before anything is opened, and give `create_client`'s arguments by name."""
    if service_name != "dynamodb":
        raise ValueError(f"service_name must be 'dynamodb', the one service this library hardens; got {service_name!r}")
    check_policy(policy)
    if session is not None and _botocore_session(session) is None:
        raise TypeError(f"session must be an aiobotocore or aioboto3 session; got {session!r}")
    arguments = dict(_CREATE_CLIENT.bind(None, service_name, *args, **kwargs).arguments)
    del arguments["self"]
    check_config(arguments.get("config"))
    return arguments


def _opener(arguments: dict[str, Any], policy: Policy | None, session: Any) -> Callable[[], Awaitable[Any]]:
    """Return what opens a client, one for each loop, whose circuits and budgets go on from loop to loop.

    A Lambda handler has a new loop each time.
    """
    kept: Core | None = None

    async def open_client() -> Any:
        nonlocal kept
        made = await _open(arguments, policy, session)
        if kept is None:
            kept = made._resilience  # noqa: SLF001 - the attribute is this library's own
        else:
            made._resilience = kept.view(host=made._resilience.host)  # noqa: SLF001 - as above
        return made

    return open_client


async def _open(arguments: dict[str, Any], policy: Policy | None, session: Any) -> Any:
    chosen = _botocore_session(session) or _own_session()
    own = AioConfig(http_session_cls=ProtocolSession, **default_options(policy))
    config = settled_config(own, chosen, arguments.get("config"))
    made = await chosen.create_client(**{**arguments, "config": config}).__aenter__()
    if config.http_session_cls is not ProtocolSession:
        connections.leave_to_aiohttp(made._endpoint.http_session)  # noqa: SLF001 - aiobotocore has no public way to it
    hardened = install_on_client(made, policy)
    hardened._resilience.host.config = config  # noqa: SLF001 - the attribute is this library's own
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
        session = _sessions[loop] = AioSession()
        session.register_component("data_loader", shared_loader())
    return session


def _verbs() -> frozenset[str]:
    from botocore import xform_name  # noqa: PLC0415 - only here

    return frozenset(xform_name(name) for name in service_model().operation_names)
