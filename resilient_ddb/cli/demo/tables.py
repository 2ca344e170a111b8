"""The demo's tables, seen from beside the proxy: made, read back item by item, and deleted."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import DemoError

_ENVIRONMENT = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "*",
    "no_proxy": "*",
}


@contextmanager
def plain_environment() -> Iterator[None]:
    """Keep the developer's AWS account, settings and web proxy out of it: both clients run with their defaults."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def new_session() -> boto3.session.Session:
    """Return a boto3 session with made-up credentials: emulators take any, but some keep a database for each."""
    return boto3.session.Session(
        region_name="us-east-1",
        aws_access_key_id="demo",
        aws_secret_access_key="demo",  # noqa: S106 - no secret
    )


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Raise in one line what failed: `what` stands behind "the demo failed".

    Raises:
        DemoError: it failed.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise DemoError(f"the demo failed {what}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one run's tables."""

    airports: str
    counters: str

    @classmethod
    def new(cls, client: str) -> Names:
        """Make up names that nobody else uses."""
        prefix = f"resilient-ddb-demo-{uuid.uuid4().hex[:8]}-{client}"
        return cls(airports=f"{prefix}-airports", counters=f"{prefix}-counters")


class Store:
    """The endpoint itself, without the proxy: what it says is what there is."""

    def __init__(self, endpoint_url: str) -> None:
        """Check that it answers.

        Raises:
            DemoError: it doesn't.
        """
        config = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2})
        self._dynamodb: Any = new_session().resource("dynamodb", endpoint_url=endpoint_url, config=config)
        try:
            self._dynamodb.meta.client.list_tables(Limit=1)
        except (BotoCoreError, ClientError, ValueError) as error:
            raise DemoError(f"{endpoint_url} does not answer as DynamoDB does: {error}") from error

    @contextmanager
    def tables(self, names: Names) -> Iterator[None]:
        """Make the tables, and delete them afterwards.

        Raises:
            DemoError: they can't be made.
        """
        made: list[Any] = []
        try:
            with saying("to make its tables"):
                for name, keys in ((names.airports, ("state", "iata")), (names.counters, ("name",))):
                    made.append(self._make(name, keys))
                    made[-1].meta.client.get_waiter("table_exists").wait(
                        TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
                    )
            yield
        finally:
            for table in made:
                with suppress(BotoCoreError, ClientError):  # nothing can be done about it, and the result stands
                    table.delete()

    def _make(self, name: str, keys: Sequence[str]) -> Any:
        return self._dynamodb.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )

    def rows(self, names: Names) -> frozenset[str]:
        """Return the codes of the airports that are there. Raise DemoError: they can't be read."""
        with saying("to read back what was written"):
            return frozenset(item["iata"] for item in self._scan(names.airports))

    def counters(self, names: Names) -> dict[str, int]:
        """Return what each counter stands at. Raise DemoError: they can't be read."""
        with saying("to read back what was counted"):
            return {item["name"]: int(item["visits"]) for item in self._scan(names.counters)}

    def _scan(self, name: str) -> Iterator[dict[str, Any]]:
        table = self._dynamodb.Table(name)
        page = table.scan(ConsistentRead=True)
        yield from page["Items"]
        while "LastEvaluatedKey" in page:
            page = table.scan(ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])
            yield from page["Items"]
