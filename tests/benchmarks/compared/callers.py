"""How each contender makes the same calls. Each function imports, and gives what calls DynamoDB, or a coroutine of it.

Nobody is tuned: all have the settings that they have by themselves. What stands around boto3 is set as its
documentation shows, and with care: it repeats what a retry can help, and leaves a failed condition alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
ARGUMENTS = {"region_name": REGION, **KEYS}
TEXT = "x" * 400
STATE_TABLE = "circuits"
"""Where Powertools keeps its circuits: no fault ever hits it."""

_ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
_NEW = "attribute_not_exists(id)"
_WORTH_REPEATING = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
}


def never_unsure(_error: Exception) -> bool:
    """Say of every error that it does not tell whether the write was applied: no other library has a word for it."""
    return False


class Boto:
    """A Table of boto3's shape. `around` may put something around each call."""

    def __init__(
        self, table: Any, *, around: Callable[..., Any] = lambda call: call, is_unsure: Any = never_unsure
    ) -> None:
        self.table = table
        self.is_unsure = is_unsure
        self._update, self._get, self._put = (
            around(call) for call in (table.update_item, table.get_item, table.put_item)
        )

    def add(self, key: str) -> None:
        self._update(Key={"id": key}, **_ADD)

    def read(self, key: str) -> str | None:
        item = self._get(Key={"id": key}).get("Item")
        return item and item["text"]

    def create(self, key: str) -> None:
        self._put(Item={"id": key, "text": TEXT}, ConditionExpression=_NEW)

    def load(self, keys: Iterable[str]) -> None:
        with self.table.batch_writer() as batch:
            for key in keys:
                batch.put_item(Item={"id": key, "text": TEXT})


class AsyncBoto:
    """A Table of aioboto3's shape."""

    def __init__(self, table: Any, is_unsure: Any = never_unsure) -> None:
        self._table = table
        self.is_unsure = is_unsure

    async def add(self, key: str) -> None:
        await self._table.update_item(Key={"id": key}, **_ADD)

    async def read(self, key: str) -> str | None:
        item = (await self._table.get_item(Key={"id": key})).get("Item")
        return item and item["text"]

    async def create(self, key: str) -> None:
        await self._table.put_item(Item={"id": key, "text": TEXT}, ConditionExpression=_NEW)

    async def load(self, keys: Iterable[str]) -> None:
        async with self._table.batch_writer() as batch:
            for key in keys:
                await batch.put_item(Item={"id": key, "text": TEXT})


def ours(url: str, table: str) -> Boto:
    rddb = import_module("resilient_ddb")
    return Boto(rddb.table(table, endpoint_url=url, **ARGUMENTS), is_unsure=_says_ambiguous(rddb))


def ours_certain(url: str, table: str) -> Boto:
    """Count by `idempotent_update`: DynamoDB applies a repeated one once."""
    caller = ours(url, table)
    caller.add = lambda key: caller.table.idempotent_update(Key={"id": key}, **_ADD)  # type: ignore[method-assign]
    return caller


async def ours_async(url: str, table: str) -> AsyncBoto:
    rddb, aio = import_module("resilient_ddb"), import_module("resilient_ddb.aio")
    return AsyncBoto(aio.table(table, endpoint_url=url, **ARGUMENTS), _says_ambiguous(rddb))


def _says_ambiguous(rddb: Any) -> Callable[[Exception], bool]:
    def says(error: Exception) -> bool:
        facts = rddb.call_facts(error)
        return facts is not None and facts.ambiguous

    return says


def _boto3_table(url: str, table: str, **retries: Any) -> Any:
    boto3, config = import_module("boto3"), import_module("botocore.config").Config
    return boto3.resource("dynamodb", endpoint_url=url, config=config(**retries), **ARGUMENTS).Table(table)


def boto3_default(url: str, table: str) -> Boto:
    return Boto(_boto3_table(url, table))


def boto3_adaptive(url: str, table: str) -> Boto:
    return Boto(_boto3_table(url, table, retries={"mode": "adaptive"}))


def _is_worth_repeating(error: BaseException) -> bool:
    exceptions = import_module("botocore.exceptions")
    if isinstance(error, exceptions.ClientError):
        return error.response["Error"]["Code"] in _WORTH_REPEATING
    return isinstance(error, exceptions.BotoCoreError)


def with_tenacity(url: str, table: str) -> Boto:
    """Retry around the call, five times, with full jitter; boto3's own retries are off, so that they don't multiply."""
    tenacity = import_module("tenacity")
    around = tenacity.retry(
        retry=tenacity.retry_if_exception(_is_worth_repeating),
        stop=tenacity.stop_after_attempt(5),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )
    return Boto(_boto3_table(url, table, retries={"total_max_attempts": 1}), around=around)


def with_stamina(url: str, table: str) -> Boto:
    """Retry around the call, as stamina does by itself: 10 attempts in 45 s. boto3's own retries are off."""
    stamina = import_module("stamina")
    around = stamina.retry(on=_is_worth_repeating)
    return Boto(_boto3_table(url, table, retries={"total_max_attempts": 1}), around=around)


def with_powertools(url: str, table: str) -> Boto:
    """Put Powertools' circuit breaker around the call, with its defaults; boto3 retries within it."""
    breaker = import_module("aws_lambda_powertools.utilities.circuit_breaker")
    persistence = import_module("aws_lambda_powertools.utilities.circuit_breaker.persistence")
    protected = _boto3_table(url, table)
    client = import_module("boto3").client("dynamodb", endpoint_url=url, **ARGUMENTS)
    failed_condition = protected.meta.client.exceptions.ConditionalCheckFailedException
    around = breaker.circuit_breaker(
        name=f"{table}-{os.getpid()}",  # no scenario finds the circuit of the one before
        persistence_store=persistence.CircuitBreakerDynamoDBPersistence(STATE_TABLE, boto3_client=client),
        config=breaker.CircuitBreakerConfig(ignored_exceptions=failed_condition),
    )

    def decorate(call: Any) -> Any:
        @around
        def protect(**params: Any) -> Any:
            return call(**params)

        return protect

    return Boto(protected, around=decorate)


async def aioboto3(url: str, table: str) -> AsyncBoto:
    session = import_module("aioboto3").Session()
    resource = await session.resource("dynamodb", endpoint_url=url, **ARGUMENTS).__aenter__()
    return AsyncBoto(await resource.Table(table))


class Pynamo:
    """A model of PynamoDB's."""

    is_unsure = staticmethod(never_unsure)

    def __init__(self, url: str, table: str) -> None:
        attributes, models = import_module("pynamodb.attributes"), import_module("pynamodb.models")
        meta = type("Meta", (), {"table_name": table, "host": url, "region": REGION, **KEYS})
        fields = {
            "Meta": meta,
            "id": attributes.UnicodeAttribute(hash_key=True),
            "n": attributes.NumberAttribute(null=True),
            "text": attributes.UnicodeAttribute(null=True),
        }
        self._row = type("Row", (models.Model,), fields)

    def add(self, key: str) -> None:
        self._row(key).update(actions=[self._row.n.add(1)])

    def read(self, key: str) -> str | None:
        try:
            return self._row.get(key).text
        except self._row.DoesNotExist:
            return None

    def create(self, key: str) -> None:
        self._row(key, text=TEXT).save(condition=self._row.id.does_not_exist())

    def load(self, keys: Iterable[str]) -> None:
        with self._row.batch_write() as batch:
            for key in keys:
                batch.save(self._row(key, text=TEXT))


pynamodb = Pynamo


class Pydynox:
    """The sync client of pydynox."""

    is_unsure = staticmethod(never_unsure)

    def __init__(self, url: str, table: str) -> None:
        self._library = import_module("pydynox")
        self._client = self._library.DynamoDBClient(
            region=REGION, access_key="testing", secret_key="testing", endpoint_url=url
        )
        self._table = table

    def add(self, key: str) -> None:
        self._client.sync_update_item(
            self._table, {"id": key}, update_expression="ADD n :one", expression_attribute_values={":one": 1}
        )

    def read(self, key: str) -> str | None:
        item = self._client.sync_get_item(self._table, {"id": key})
        return item and item["text"]

    def create(self, key: str) -> None:
        self._client.sync_put_item(self._table, {"id": key, "text": TEXT}, condition_expression=_NEW)

    def load(self, keys: Iterable[str]) -> None:
        with self._library.SyncBatchWriter(self._client, self._table) as batch:
            for key in keys:
                batch.put({"id": key, "text": TEXT})


pydynox = Pydynox


class UndoneError(Exception):
    """What an answer said of items that were not written, as an error."""


class Aiodynamo:
    """The Table of aiodynamo, on aiohttp."""

    is_unsure = staticmethod(never_unsure)

    def __init__(self, client: Any, table: str) -> None:
        self._client, self._name = client, table
        self._models = import_module("aiodynamo.models")
        self._f = import_module("aiodynamo.expressions").F
        self._missing = import_module("aiodynamo.errors").ItemNotFound

    async def add(self, key: str) -> None:
        await self._client.table(self._name).update_item({"id": key}, self._f("n").add(1))

    async def read(self, key: str) -> str | None:
        try:
            return (await self._client.table(self._name).get_item({"id": key}))["text"]
        except self._missing:
            return None

    async def create(self, key: str) -> None:
        new = self._f("id").does_not_exist()
        await self._client.table(self._name).put_item({"id": key, "text": TEXT}, condition=new)

    async def load(self, keys: Iterable[str]) -> None:
        """Write in batches of 25. The library tells what was left undone, and leaves the loop to its user."""
        undone, keys = 0, list(keys)
        for at in range(0, len(keys), 25):
            puts = [{"id": key, "text": TEXT} for key in keys[at : at + 25]]
            written = await self._client.batch_write({self._name: self._models.BatchWriteRequest(items_to_put=puts)})
            undone += sum(len(each.unput_items) for each in written.values())
        if undone:
            raise UndoneError(f"{undone} items")


async def aiodynamo(url: str, table: str) -> Aiodynamo:
    aiohttp, yarl = import_module("aiohttp"), import_module("yarl")
    credentials = import_module("aiodynamo.credentials")
    client = import_module("aiodynamo.client").Client(
        import_module("aiodynamo.http.aiohttp").AIOHTTP(aiohttp.ClientSession()),
        credentials.StaticCredentials(credentials.Key("testing", "testing")),
        REGION,
        endpoint=yarl.URL(url),
    )
    return Aiodynamo(client, table)


def is_condition(error: Exception) -> bool:
    """Return whether an error says that a condition failed, in whatever words of its library."""
    return "conditional" in f"{type(error).__name__} {error} {error.__cause__}".lower()


@functools.cache
def maker(name: str) -> Callable[[str, str], Any]:
    """Return the function that makes a contender."""
    made: Callable[[str, str], Any] = globals()[name]
    return made
