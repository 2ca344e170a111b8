"""The table that is loaded or exported: how it is reached, and what its keys are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from resilient_ddb.codec.numbers import exact_number
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.errors.words import code_of_error
from resilient_ddb.policy.policy import Policy
from resilient_ddb.policy.retry import Retry
from resilient_ddb.sync.session import resource

from .errors import BulkError
from .limits import MAX_KEY_BYTES, KeyAttribute, shown
from .options import Access

_ROLES = {"HASH": "partition key", "RANGE": "sort key"}
_NOT_ALLOWED = ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation")
_PATIENT = Retry(max_attempts=12, max_delay=20.0)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A table, and what is known of it."""

    table: Any
    """The hardened Table."""
    keys: tuple[KeyAttribute, ...]
    """The attributes of its key, and of its indexes' keys."""
    description: Mapping[str, Any]
    """What DescribeTable said; empty if it was not asked, or not allowed."""
    identity: Mapping[str, Any]
    """What tells this table from any other, also from one of the same name that was made later."""

    @property
    def key_names(self) -> list[str]:
        """The names of the table's own key attributes."""
        return [key.name for key in self.keys if key.required]


def connect(access: Access, *, key: Sequence[str] = (), ttl: str | None = None) -> Target:
    """Open the table and describe it.

    Args:
        access: how it is reached.
        key: the names of its key attributes, if they are given: then it may be that DescribeTable is not allowed.
        ttl: the TTL attribute, if expired items must be left out.

    Raises:
        BulkError: there is no such table, or it can't be reached.
    """
    try:
        session = boto3.Session(profile_name=access.profile, region_name=access.region)
        # One program at one job: there is nobody whose calls a circuit would spare, and it can wait.
        policy = Policy(retry=_PATIENT, circuit_breaker=None)
        dynamodb = resource("dynamodb", endpoint_url=access.endpoint_url, session=session, policy=policy)
        dynamodb.meta.client._resilience.host.values.number = lambda: exact_number  # noqa: SLF001 - our own
        table = dynamodb.Table(access.table, ttl=ttl)
        description = _described(table, access, may_fail=bool(key))
    except (BotoCoreError, ClientError, ValueError) as error:
        raise BulkError(one_line(error)) from error
    own = _own_keys(description, key, access.table)
    identity = {
        "table": description.get("TableArn", access.table),
        "table_id": description.get("TableId", str(description.get("CreationDateTime", ""))),
        "endpoint": table.meta.client.meta.endpoint_url,
    }
    return Target(table=table, keys=(*own, *_index_keys(description)), description=description, identity=identity)


def keys_by_name(names: Iterable[str]) -> tuple[KeyAttribute, ...]:
    """Return a key of which only the names are known."""
    return tuple(_key(name, None, role) for name, role in zip(names, _ROLES, strict=False))


def _described(table: Any, access: Access, *, may_fail: bool) -> Mapping[str, Any]:
    try:
        described: Mapping[str, Any] = table.meta.client.describe_table(TableName=access.table)["Table"]
    except ClientError as error:
        code = code_of_error(error)
        if code == "ResourceNotFoundException":
            where = access.endpoint_url or table.meta.client.meta.region_name
            raise BulkError(f"there is no table {access.table!r} in {where}") from error
        if code in _NOT_ALLOWED and may_fail:
            return {}
        if code in _NOT_ALLOWED:
            raise BulkError(f"{one_line(error)}; load does without it if --key names the table's key") from error
        raise
    return described


def _own_keys(description: Mapping[str, Any], given: Sequence[str], table: str) -> tuple[KeyAttribute, ...]:
    if not description:
        return keys_by_name(given)
    types = _types(description)
    made = tuple(
        _key(entry["AttributeName"], types[entry["AttributeName"]], entry["KeyType"])
        for entry in description["KeySchema"]
    )
    names = [key.name for key in made]
    if given and list(given) != names:
        raise BulkError(f"the key of {table!r} is {','.join(names)}; --key says {','.join(given)}")
    return made


def _key(name: str, kind: str | None, key_type: str) -> KeyAttribute:
    role = f"the table's {_ROLES[key_type]}"
    return KeyAttribute(name=name, kind=kind, role=role, max_bytes=MAX_KEY_BYTES[key_type])


def _index_keys(description: Mapping[str, Any]) -> Iterable[KeyAttribute]:
    types = _types(description)
    for index in indexes(description):
        for entry in index["KeySchema"]:
            name = entry["AttributeName"]
            yield KeyAttribute(
                name=name,
                kind=types[name],
                role=f"the {_ROLES[entry['KeyType']]} of index {shown(index['IndexName'])}",
                max_bytes=MAX_KEY_BYTES[entry["KeyType"]],
                required=False,
            )


def indexes(description: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the descriptions of a table's indexes."""
    return [*description.get("GlobalSecondaryIndexes", ()), *description.get("LocalSecondaryIndexes", ())]


def _types(description: Mapping[str, Any]) -> dict[str, str]:
    return {entry["AttributeName"]: entry["AttributeType"] for entry in description.get("AttributeDefinitions", ())}


def one_line(error: BaseException) -> str:
    """Return one line about what AWS, or the way there, has against it."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return "no AWS credentials were found: give --profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
    if isinstance(error, NoRegionError):
        return "no AWS region is known: give --region, or set AWS_DEFAULT_REGION"
    if isinstance(error, ProfileNotFound):
        return f"{error}; see ~/.aws/config"
    if isinstance(error, EndpointConnectionError):
        return f"{error.kwargs['endpoint_url']} can't be reached"
    if isinstance(error, UnprocessedItemsError):
        return str(error.response["Error"]["Message"])
    return " ".join(str(error).split())
