"""boto3's DynamoDB Table, hardened: retries, circuit breakers, fallbacks and no double apply, sync and async.

    import resilient_ddb as rddb

    orders = rddb.resource("dynamodb").Table("orders")  # a boto3 Table, used as ever

The async twin is `resilient_ddb.aio`; what helps in tests is `resilient_ddb.testing`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import aio, events, fallback, observers, sharding, spark, storages, testing, ttl
    from .bulk.settings import BatchReport, RejectedItem
    from .calls.classification import Classification, classify
    from .errors import (
        CallFacts,
        CircuitOpenError,
        DeadlineExceededError,
        DuplicateShardItemError,
        ResilienceError,
        UnprocessedItemsError,
        UnprocessedKeysError,
        VersionConflictError,
        call_facts,
    )
    from .events import ErrorKind, ThrottlingReason
    from .fallback.response_info import ResponseInfo, response_info
    from .hardening import harden, set_policy
    from .hooks.status import Status, status
    from .hooks.steering import CircuitHandle, Circuits, circuits
    from .lambda_handlers import lambda_handler
    from .policy.circuit_breaker import CircuitBreaker
    from .policy.deadlines import deadline, lambda_deadline, no_deadline
    from .policy.policy import Policy, Timeouts
    from .policy.retry import Retry, RetryBudget
    from .sharding.shard_layout import ShardLayout
    from .sync.batch_get import BatchGet
    from .sync.batch_writer import BatchWriter
    from .sync.limiter import RateLimiter
    from .sync.parallel_scan import ParallelScan
    from .sync.session import client, resource, table
    from .sync.sharded_tables import ShardedTable
    from .sync.shared_limiter import SharedRateLimiter
    from .sync.tables import ResilientServiceResource, ResilientTable, Table
    from .sync.versioned_tables import VersionedTable
    from .ttl.rule import TimeToLive
    from .versioning.writes import DELETE

__all__ = [
    "DELETE",
    "BatchGet",
    "BatchReport",
    "BatchWriter",
    "CallFacts",
    "CircuitBreaker",
    "CircuitHandle",
    "CircuitOpenError",
    "Circuits",
    "Classification",
    "DeadlineExceededError",
    "DuplicateShardItemError",
    "ErrorKind",
    "ParallelScan",
    "Policy",
    "RateLimiter",
    "RejectedItem",
    "ResilienceError",
    "ResilientServiceResource",
    "ResilientTable",
    "ResponseInfo",
    "Retry",
    "RetryBudget",
    "ShardLayout",
    "ShardedTable",
    "SharedRateLimiter",
    "Status",
    "Table",
    "ThrottlingReason",
    "TimeToLive",
    "Timeouts",
    "UnprocessedItemsError",
    "UnprocessedKeysError",
    "VersionConflictError",
    "VersionedTable",
    "__version__",
    "aio",
    "call_facts",
    "circuits",
    "classify",
    "client",
    "deadline",
    "events",
    "fallback",
    "harden",
    "lambda_deadline",
    "lambda_handler",
    "no_deadline",
    "observers",
    "resource",
    "response_info",
    "set_policy",
    "sharding",
    "spark",
    "status",
    "storages",
    "table",
    "testing",
    "ttl",
]

# Where each name lives. A module is loaded when one of its names is first asked for: an async handler never loads
# the sync Table, and importing the package costs next to nothing.
_MODULES = ("aio", "events", "fallback", "observers", "sharding", "spark", "storages", "testing", "ttl")
_HOMES = {
    "BatchGet": "sync.batch_get",
    "BatchReport": "bulk.settings",
    "BatchWriter": "sync.batch_writer",
    "CircuitBreaker": "policy.circuit_breaker",
    "CallFacts": "errors",
    "CircuitHandle": "hooks.steering",
    "Circuits": "hooks.steering",
    "circuits": "hooks.steering",
    "CircuitOpenError": "errors",
    "DELETE": "versioning.writes",
    "DeadlineExceededError": "errors",
    "DuplicateShardItemError": "errors",
    "ErrorKind": "events",
    "ParallelScan": "sync.parallel_scan",
    "Policy": "policy.policy",
    "RateLimiter": "sync.limiter",
    "RejectedItem": "bulk.settings",
    "ResilienceError": "errors",
    "ResilientServiceResource": "sync.tables",
    "ResilientTable": "sync.tables",
    "ResponseInfo": "fallback.response_info",
    "Retry": "policy.retry",
    "RetryBudget": "policy.retry",
    "ShardLayout": "sharding.shard_layout",
    "ShardedTable": "sync.sharded_tables",
    "SharedRateLimiter": "sync.shared_limiter",
    "Status": "hooks.status",
    "Table": "sync.tables",
    "status": "hooks.status",
    "ThrottlingReason": "events",
    "TimeToLive": "ttl.rule",
    "Timeouts": "policy.policy",
    "UnprocessedItemsError": "errors",
    "UnprocessedKeysError": "errors",
    "Classification": "calls.classification",
    "VersionConflictError": "errors",
    "VersionedTable": "sync.versioned_tables",
    "call_facts": "errors",
    "classify": "calls.classification",
    "client": "sync.session",
    "deadline": "policy.deadlines",
    "harden": "hardening",
    "lambda_deadline": "policy.deadlines",
    "no_deadline": "policy.deadlines",
    "resource": "sync.session",
    "response_info": "fallback.response_info",
    "set_policy": "hardening",
    "table": "sync.session",
    "lambda_handler": "lambda_handlers",
}


if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
