"""The way in: `resource`, `client`, `table`, `harden` and `set_policy`, for boto3."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
import boto3.session
import boto3.utils
import botocore.session
from boto3.resources.base import ServiceResource
from boto3.resources.factory import ResourceFactory
from botocore.client import BaseClient
from botocore.config import Config

from resilient_ddb.hooks.host import (
    bound,
    check_new_policy,
    check_policy,
    check_service,
    default_options,
    hardened_session,
    replace_handler,
    set_policy_of_session,
    settled_config,
    ttl_of_tables,
)
from resilient_ddb.hooks.host import set_policy as set_policy_of_client
from resilient_ddb.hooks.loading import reading_plainly
from resilient_ddb.hooks.models import resource_definitions
from resilient_ddb.policy.arguments import names_checked

from .clients import SyncHost
from .resources import check_fallback_of, harden_service_resource_class, harden_table_class
from .tables import ResilientServiceResource, ResilientTable

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

    from resilient_ddb.policy.policy import Policy
    from resilient_ddb.ttl.rule import TimeToLive

Target = TypeVar("Target")
_FACTORY = "_resilient_ddb_factory"


def client(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: boto3.session.Session | None = None,
    ttl: Mapping[str, str | TimeToLive] | None = None,
    **kwargs: Any,
) -> DynamoDBClient:
    """Make a hardened low-level client: `boto3.client`'s signature, plus `policy`, `session` and `ttl`.

    Args:
        service_name: `"dynamodb"`.
        args: boto3's further arguments, by position: `region_name`, `api_version`, `use_ssl`, `verify`, ...
        policy: how calls are made; the default `Policy()` if left out, with the attempts that the Config's
            `retries` or `AWS_MAX_ATTEMPTS` state.
        session: the boto3 Session to build on; boto3's default session if left out. It stays as it is: only this
            client is hardened.
        ttl: the TTL attributes of tables, by the tables' names: `{"sessions": "expires_at"}`, or a `TimeToLive` in
            place of an attribute's name. Items of theirs that have expired are left out of all answers.
        kwargs: boto3's further arguments, by name. A `config` of the caller's wins over our timeouts and pool size.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    chosen = _session(session)
    check_service(service_name)
    _check_policy(policy)
    tables = ttl_of_tables(ttl)
    arguments = bound("client", inspect.signature(chosen.client), [service_name, *args], kwargs)
    core_session = chosen._session  # noqa: SLF001 - boto3's Session has no public way to botocore's
    config = settled_config(Config(**default_options(policy)), core_session, arguments.get("config"))
    made = reading_plainly(chosen).client(**{**arguments, "config": config})
    hardened = SyncHost.install(made, policy)
    core = hardened._resilience  # noqa: SLF001 - the attribute is this library's own
    core.host.config, core.host.verify, core.ttl = config, arguments.get("verify"), tables
    return cast("DynamoDBClient", hardened)


def resource(
    service_name: str = "dynamodb",
    *args: Any,
    policy: Policy | None = None,
    session: boto3.session.Session | None = None,
    ttl: Mapping[str, str | TimeToLive] | None = None,
    **kwargs: Any,
) -> ResilientServiceResource:
    """Make a hardened resource: `boto3.resource`'s signature, plus `policy`, `session` and `ttl`. See `client`."""
    chosen = _session(session)
    check_service(service_name)
    arguments = bound("resource", inspect.signature(chosen.resource), [service_name, *args], kwargs)
    given = arguments.get("config")
    if given is None or getattr(given, "user_agent_extra", None) is None:
        extra = Config(user_agent_extra="Resource")  # as boto3's resources say of themselves
        arguments["config"] = extra.merge(given) if isinstance(given, Config) else given or extra
    low_level = client(policy=policy, session=chosen, ttl=ttl, **arguments)
    factory = _factory(chosen.events)
    return cast("ResilientServiceResource", factory.load_service_resource(low_level)(client=low_level))


def table(
    name: str,
    *,
    policy: Policy | None = None,
    session: boto3.session.Session | None = None,
    ttl: str | TimeToLive | None = None,
    **kwargs: Any,
) -> ResilientTable:
    """Make a hardened Table: short for `resource("dynamodb", ...).Table(name, ...)`.

    Args:
        name: the table's name.
        policy: how calls are made. See `client`.
        session: the boto3 Session to build on. See `client`.
        ttl: the name of the TTL attribute: items that have expired are left out of all answers. `"auto"` looks it up
            with DescribeTimeToLive before the first call that needs it. A `TimeToLive` says more.
        kwargs: boto3's arguments for a resource: `region_name`, `endpoint_url`, `config`, ...

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    chosen = _session(session)
    bound("table", inspect.signature(chosen.resource), ["dynamodb"], kwargs)
    return resource("dynamodb", policy=policy, session=chosen, **kwargs).Table(name, ttl=ttl)


def restore_table(name: str, recipe: dict[str, Any], own_policy: Policy | None) -> ResilientTable:
    """Make a Table of what was pickled of one: its client's recipe, and its own policy."""
    return resource("dynamodb", **recipe).Table(name, policy=own_policy)


ResilientTable._restore = staticmethod(restore_table)  # noqa: SLF001 - handed in, as this module builds on that one


@names_checked
def harden(target: Target, policy: Policy | None = None) -> Target:
    """Harden what exists already. See `resilient_ddb.harden`, which takes async targets as well."""
    _check_policy(policy)
    if any(cls.__module__.startswith("aiobotocore") for cls in type(target).__mro__):
        raise TypeError(f"target must be of boto3; got {target!r}: use resilient_ddb.aio.harden for async ones")
    if isinstance(target, boto3.session.Session | botocore.session.Session):
        _install_on_session(target, policy)
    elif isinstance(target, BaseClient):
        SyncHost.harden(target, policy)
    elif isinstance(target, ServiceResource):
        _install_on_resource(target, policy)
    else:
        raise _no_target(target)
    return target


@names_checked
def set_policy(target: Target, policy: Policy) -> Target:
    """Set the policy of what is hardened already. See `resilient_ddb.set_policy`."""
    check_new_policy(policy)
    _check_policy(policy)
    if isinstance(target, boto3.session.Session | botocore.session.Session):
        set_policy_of_session(target, _events_of(target), policy)
    elif isinstance(target, BaseClient):
        set_policy_of_client(target, policy)
    elif isinstance(target, ServiceResource):
        set_policy_of_client(target.meta.client, policy)
    else:
        raise _no_target(target)
    return target


def _no_target(target: Any) -> TypeError:
    return TypeError(f"target must be a boto3 Session, DynamoDB client, resource or Table; got {type(target).__name__}")


def _events_of(session: Any) -> Any:
    return session.events if isinstance(session, boto3.session.Session) else session.get_component("event_emitter")


def _install_on_session(target: Any, policy: Policy | None) -> None:
    events = _events_of(target)
    if hardened_session(events) is None:
        _register(events)
    core_session = target._session if isinstance(target, boto3.session.Session) else target  # noqa: SLF001 - as above
    SyncHost.install_on_session(core_session, policy)


def _register(events: Any) -> None:
    """Let boto3 harden the classes of resources that it makes."""
    replace_handler(events, "creating-resource-class.dynamodb.ServiceResource", harden_service_resource_class)
    replace_handler(events, "creating-resource-class.dynamodb.Table", harden_table_class)


def _install_on_resource(target: Any, policy: Policy | None) -> None:
    if target.meta.service_name != "dynamodb":
        raise ValueError(f"target must be a DynamoDB resource; got one of {target.meta.service_name!r}")
    low_level = SyncHost.harden(target.meta.client, policy, native=True)
    if isinstance(target, ResilientTable | ResilientServiceResource):
        return
    factory = _DynamoDBFactory(low_level.meta.events)
    is_service = type(target).__name__ == "dynamodb.ServiceResource"
    target.__class__ = (
        factory.load_service_resource(low_level)
        if is_service
        else factory.load(type(target).__name__.partition(".")[2], low_level)
    )


class _DynamoDBFactory(ResourceFactory):  # type: ignore[misc]  # boto3 has no types of its own
    """boto3's factory of resource classes, with a copy of its events on which our handlers are registered.

    The session that the events are from is left alone. Classes are kept: boto3 makes a new one for each Table.
    """

    def __init__(self, events: Any) -> None:
        own = copy.copy(events)
        _register(own)
        super().__init__(own)
        self._classes: dict[str, type] = {}

    def load_service_resource(self, low_level: Any) -> type:
        return self._classes.get("dynamodb") or self.load_from_definition(
            "dynamodb", resource_definitions()["service"], self._context(low_level)
        )

    def load(self, name: str, low_level: Any) -> type:
        return self.load_from_definition(name, resource_definitions()["resources"][name], self._context(low_level))

    def load_from_definition(
        self, resource_name: str, single_resource_json_definition: Any, service_context: Any
    ) -> type:
        cls = self._classes.get(resource_name)
        if cls is None:
            made = super().load_from_definition(resource_name, single_resource_json_definition, service_context)
            cls = self._classes.setdefault(resource_name, made)
        return cls

    def _context(self, low_level: Any) -> Any:
        return boto3.utils.ServiceContext(
            service_name="dynamodb",
            service_model=low_level.meta.service_model,
            resource_json_definitions=resource_definitions()["resources"],
            service_waiter_model=_WaiterModel(),
        )


class _WaiterModel:
    """boto3's waiter model, for which a session is made no sooner than it is asked for: that takes 5 ms."""

    def get_waiter(self, waiter_name: str) -> Any:
        session = botocore.session.get_session()
        return boto3.utils.LazyLoadedWaiterModel(session, "dynamodb", None).get_waiter(waiter_name)


def _factory(events: Any) -> _DynamoDBFactory:
    """Return the factory for a session's events: one for each, so that a resource costs little the second time.

    It is kept with the events. In a table of all factories it would keep the session alive, which their handlers know.
    """
    factory: _DynamoDBFactory | None = getattr(events, _FACTORY, None)
    if factory is None:
        factory = _DynamoDBFactory(events)
        setattr(events, _FACTORY, factory)
    return factory


def _session(session: Any) -> boto3.session.Session:
    if session is None:
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        session = boto3.DEFAULT_SESSION
    if not isinstance(session, boto3.session.Session):
        raise TypeError(f"session must be a boto3.session.Session; got {session!r}")
    return session


def _check_policy(policy: Any) -> None:
    check_policy(policy)
    check_fallback_of(policy)
