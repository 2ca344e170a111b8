"""`harden` and `set_policy` for what exists already, of boto3 and of aiobotocore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .policy.arguments import names_checked

if TYPE_CHECKING:
    from .policy.policy import Policy

Target = TypeVar("Target")
_ASYNC = ("aiobotocore", "aioboto3", "resilient_ddb.aio")


@names_checked
def harden(target: Target, policy: Policy | None = None) -> Target:
    """Harden what exists already, in place, and return it.

    A Session hardens what it makes from now on: its clients have the policy's timeouts and 128 connections, unless a
    Config says otherwise. A Table or resource shares its client with whatever was made from it: they are hardened
    together. A client that exists keeps its connections. Its timeouts stay, too, unless any field of the policy's is
    not the default: then all of them hold for each request from now on. What is hardened already, `aio.table(...)`
    among it, stays so; with a `policy`, that is set as by `set_policy`.

    Args:
        target: a boto3, aiobotocore or aioboto3 Session, client, resource or Table.
        policy: how calls are made; the default `Policy()` if left out, with the attempts that the Config's
            `retries` or `AWS_MAX_ATTEMPTS` state.

    Raises:
        TypeError: `target` is none of these.
        ValueError: `target` can't be hardened: another service's, or a client in adaptive mode.
    """
    made: Target = _home(target).harden(target, policy)
    return made


@names_checked
def set_policy(target: Target, policy: Policy) -> Target:
    """Set another policy for what is hardened already, from now on, and return it.

    What was learnt of the tables stays. An open circuit stays open for as long as it was to, attempts stay counted,
    and what a retry budget has spent stays spent. Calls under way go on by the new policy. If its `timeouts`, as a
    whole, differ from those of the policy before, all of them hold for each request from now on, also over those of a
    caller's Config.

    A Table or resource shares its client with whatever was made from it: they change together. A Table with a policy
    of its own changes alone, and stays as it is where its client's is set. A Session changes what it has made, and
    what it makes from now on.

    Args:
        target: a boto3, aiobotocore or aioboto3 Session, client, resource or Table that was hardened; or what
            `resilient_ddb.aio` makes, open or not.
        policy: how calls are made.

    Raises:
        TypeError: `target` is none of these, or is not hardened; `policy` is none.
    """
    made: Target = _home(target).set_policy(target, policy)
    return made


def _home(target: Any) -> Any:
    """Return the module that knows a target's kind. The other one is not loaded for it."""
    if _is_async(target):
        from .aio import session as aio_session  # noqa: PLC0415 - as above

        return aio_session
    from .sync import session as sync_session  # noqa: PLC0415 - as above

    return sync_session


def _is_async(target: Any) -> bool:
    if _is_of(target):
        return True
    meta = getattr(target, "meta", None)  # a resource of aioboto3's is of a class that boto3 makes
    return _is_of(getattr(meta, "client", None)) or _is_of(getattr(target, "_session", None))


def _is_of(value: Any) -> bool:
    return any(cls.__module__.startswith(_ASYNC) for cls in type(value).__mro__)
