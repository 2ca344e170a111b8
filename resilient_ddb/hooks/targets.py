"""Which client a target stands for: a Table, a client, a resource, a writer, and what stands for a table."""

from __future__ import annotations

from typing import Any, NamedTuple

from resilient_ddb.calls.core import Core


class Target(NamedTuple):
    """What a target comes down to."""

    client: Any
    """The client, or what stands in for one that is not yet open."""
    table: str | None
    """The table, if the target stands for one."""
    writer: Any
    """What a batch writer decides by, if the target is one."""

    @property
    def core(self) -> Core | None:
        """What its calls go by now; None if the client was never open: this may have been made before that."""
        known: Core | None = vars(self.client).get("_resilience")
        return self.client.core if known is None else known


def target_of(target: Any, asked_by: str) -> Target:
    """Return what a target comes down to.

    Raises:
        TypeError: it is not hardened, or nothing that can be.
    """
    given, table, writer = target, None, None
    while isinstance(getattr(type(target), "table", None), property):  # a sharded, or versioned, one
        target = target.table
    inner = vars(target).get("_writer") if hasattr(target, "__dict__") else None
    target = target if inner is None else inner  # a sharded writer
    if hasattr(target, "_batching"):
        table, writer = target._table_name, target  # noqa: SLF001 - the attribute is this library's own
        client = target._client  # noqa: SLF001 - as above
    else:
        client = getattr(getattr(target, "meta", None), "client", target)
        table = getattr(target, "name", None) if client is not target else None
    known = getattr(client, "__dict__", {})
    if "_resilience" in known or "held" in known:  # the latter has a module-level async one
        return Target(client, table, writer)
    takes = f"{asked_by} takes a hardened Table, client, resource or batch writer; got {_named(given)}"
    if not isinstance(given, type) and any(callable(getattr(given, name, None)) for name in _MAKES_CLIENTS):
        raise TypeError(f"{takes}: a Session has no circuits of its own: ask a client, resource or Table that it made")
    raise TypeError(
        f"{takes}: harden it first, by resilient_ddb.harden(target), or make it with resilient_ddb.resource, client "
        "or table"
    )


_MAKES_CLIENTS = ("client", "create_client")
"""What a Session of boto3's, botocore's, aiobotocore's or aioboto3's has."""


def _named(target: Any) -> str:
    return f"a {type(target).__name__}" if not isinstance(target, type) else f"the class {target.__name__}"
