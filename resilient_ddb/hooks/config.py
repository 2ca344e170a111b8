"""What clients and Tables are made with: the checks of it, and how a policy, a Config and the session's are joined."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from resilient_ddb.policy.arguments import NOT_GIVEN, refuse_unknown
from resilient_ddb.policy.policy import Policy, Timeouts
from resilient_ddb.policy.retry import Retry

if TYPE_CHECKING:
    from resilient_ddb.ttl.rule import TimeToLive
    from resilient_ddb.ttl.tables import TtlTables

POOL_CONNECTIONS = 128
"""Connections kept at most, unless the caller's Config says otherwise. botocore's own default is 10."""
TABLE_OPTIONS = ("name", "policy", "ttl")
"""The arguments of a resource's `Table(...)`."""


def check_service(service_name: Any) -> None:
    """Refuse the name of another service.

    Raises:
        ValueError: it is not DynamoDB's.
    """
    if service_name != "dynamodb":
        raise ValueError(f"service_name must be 'dynamodb', the one service this library hardens; got {service_name!r}")


def check_client(target: Any) -> None:
    """Refuse a client that can't be hardened.

    Raises:
        ValueError: it is not DynamoDB's, or was made in adaptive mode.
    """
    service = target.meta.service_model.service_name
    if service != "dynamodb":
        raise ValueError(f"target must be a DynamoDB client; got one of {service!r}")
    retries = getattr(target.meta.config, "retries", None) or {}
    if retries.get("mode") == "adaptive":
        raise ValueError(
            "target must not be a client in retry mode 'adaptive': its rate limiter can't be taken out, and would "
            "slow down every call beneath this library's retries; make it with mode 'standard' (in its Config, "
            "AWS_RETRY_MODE or profile), or with resilient_ddb.client(...)"
        )


def check_policy(policy: Any) -> None:
    """Refuse what is no policy.

    Raises:
        TypeError: it is neither a Policy nor None.
    """
    if policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"policy must be a resilient_ddb.Policy, or None for the default one; got {policy!r}")


def check_new_policy(policy: Any) -> None:
    """Refuse what is no policy to be set.

    Raises:
        TypeError: it is no Policy.
    """
    if not isinstance(policy, Policy):
        raise TypeError(f"policy must be a resilient_ddb.Policy; got {policy!r}")


def check_options(policy: Any, ttl: Any) -> None:
    """Refuse a Table's options that can't be meant.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """
    check_policy(policy)
    if ttl is not None and ttl is not NOT_GIVEN:
        from resilient_ddb.ttl.rule import time_to_live  # noqa: PLC0415 - most Tables have none

        time_to_live(ttl)


def bound(
    function: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments, by name, that the SDK's `signature` makes of those that one of our functions was given.

    Raises:
        TypeError: it can't take them. Of a name that it has not, the error says what is meant.
    """
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError:
        taken = [name for name in signature.parameters if name not in ("self", "service_name")]
        refuse_unknown(function, kwargs, ["policy", "session", "ttl", *taken])
        raise


def policy_from_config(config: Any) -> Policy:
    """Return the policy of a client for which none was given: the default, with the attempts that its Config states."""
    attempts = (config.retries or {}).get("total_max_attempts")
    return Policy(retry=Retry(max_attempts=max(1, int(attempts)))) if attempts is not None else Policy()


def check_config(given: Any) -> None:
    """Refuse what is no Config, or asks for what can't be had.

    Raises:
        TypeError: `given` is neither a Config nor None.
        ValueError: `given` asks for retry mode `adaptive`.
    """
    if given is not None and not isinstance(given, Config):
        raise TypeError(f"config must be a botocore.config.Config; got {given!r}")
    if given is not None and (given.retries or {}).get("mode") == "adaptive":
        raise ValueError(
            "config must not ask for retry mode 'adaptive': the policy is the only retry layer; leave the mode out, "
            "and set policy=Policy(retry=..., retry_budget=...) instead"
        )


def settled_config(cls: type[Config], policy: Policy | None, session: Any, given: Any) -> Any:
    """Join our defaults, the session's default Config and the caller's: the later wins, option by option.

    `cls` is the SDK's class of Configs.

    Raises:
        TypeError: `given` is no Config.
        ValueError: `given` asks for retry mode `adaptive`.
    """
    check_config(given)
    own = cls(**default_options(policy))
    for config in (session.get_default_client_config(), given):
        if config is not None:  # begun with the caller's, so that the result is of its class
            own = config.merge(own).merge(config)
    check_config(own)
    if (own.retries or {}).get("mode") is None and session.get_config_variable("retry_mode") == "adaptive":
        # The environment's wish for all clients: there is no such handler in ours to begin with.
        return own.merge(Config(retries={**(own.retries or {}), "mode": "standard"}))
    return own


def default_options(policy: Policy | None) -> dict[str, Any]:
    """Return the Config options that a policy brings along."""
    timeouts = (policy or Policy()).timeouts
    return {
        "connect_timeout": timeouts.connect,
        "read_timeout": timeouts.read,
        "max_pool_connections": POOL_CONNECTIONS,
    }


def with_timeouts(config: Config | None, timeouts: Timeouts | None) -> Config | None:
    """Return a Config with these timeouts in place of its own; None: it stays as it is."""
    if timeouts is None:
        return config
    return (config or Config()).merge(Config(connect_timeout=timeouts.connect, read_timeout=timeouts.read))


def config_beside(given: Config | None, default: Config | None, policy: Policy | None) -> Config:
    """Return a caller's Config with the policy's timeouts and our pool, wherever it, and a session's, says nothing."""
    unsaid = {
        name: value
        for name, value in default_options(policy).items()
        if not any(_says(config, name) for config in (given, default))
    }
    told = given or Config()
    made: Config = told.merge(Config(**unsaid))
    for name, value in vars(told).items():  # `merge` loses what was set later, as boto3's resources do
        if name not in unsaid and not name.startswith("_"):
            setattr(made, name, value)
    return made


def _says(config: Config | None, name: str) -> bool:
    if config is None:
        return False
    given = config._user_provided_options  # noqa: SLF001 - botocore has no public way: a default may be said, too
    return name in given or getattr(config, name) != Config.OPTION_DEFAULTS[name]


def ttl_of_tables(ttl: Mapping[str, str | TimeToLive | None] | None) -> TtlTables | None:
    """Return what the `ttl` of a resource or client says, or None if it has none.

    Raises:
        TypeError, ValueError: it can't be meant.
    """
    if ttl is None:
        return None
    from resilient_ddb.ttl.tables import of_mapping  # noqa: PLC0415 - most clients have none

    return of_mapping(ttl)


def with_ttl(tables: Any, table: str, ttl: Any) -> Any:
    """Return the TTLs of tables, of which one has another one: a name, a `TimeToLive`, or None for no TTL."""
    if ttl is None and tables is None:
        return None
    from resilient_ddb.ttl.rule import time_to_live  # noqa: PLC0415 - most Tables have none
    from resilient_ddb.ttl.tables import with_table  # noqa: PLC0415 - as above

    return with_table(tables, table, None if ttl is None else time_to_live(ttl))
