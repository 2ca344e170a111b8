"""boto3's DynamoDB Table, hardened: retries, circuit breakers, fallbacks and no double apply, sync and async.

    import resilient_ddb as rddb

    orders = rddb.resource("dynamodb").Table("orders")  # a boto3 Table, used as ever

The async twin is `resilient_ddb.aio`; what helps in tests is `resilient_ddb.testing`.
"""

from typing import TYPE_CHECKING

from ._public import public_names
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

# Which names each module holds. It is loaded when one of them is first asked for: an async handler never loads the sync
# Table, and importing the package costs next to nothing.
_HOMES = {
    "bulk.settings": ("BatchReport", "RejectedItem"),
    "calls.classification": ("Classification", "classify"),
    "errors": (
        "CallFacts",
        "CircuitOpenError",
        "DeadlineExceededError",
        "DuplicateShardItemError",
        "ResilienceError",
        "UnprocessedItemsError",
        "UnprocessedKeysError",
        "VersionConflictError",
        "call_facts",
    ),
    "events": ("ErrorKind", "ThrottlingReason"),
    "fallback.response_info": ("ResponseInfo", "response_info"),
    "hardening": ("harden", "set_policy"),
    "hooks.status": ("Status", "status"),
    "hooks.steering": ("CircuitHandle", "Circuits", "circuits"),
    "lambda_handlers": ("lambda_handler",),
    "policy.circuit_breaker": ("CircuitBreaker",),
    "policy.deadlines": ("deadline", "lambda_deadline", "no_deadline"),
    "policy.policy": ("Policy", "Timeouts"),
    "policy.retry": ("Retry", "RetryBudget"),
    "sharding.shard_layout": ("ShardLayout",),
    "sync.batch_get": ("BatchGet",),
    "sync.batch_writer": ("BatchWriter",),
    "sync.limiter": ("RateLimiter",),
    "sync.parallel_scan": ("ParallelScan",),
    "sync.session": ("client", "resource", "table"),
    "sync.sharded_tables": ("ShardedTable",),
    "sync.shared_limiter": ("SharedRateLimiter",),
    "sync.tables": ("ResilientServiceResource", "ResilientTable", "Table"),
    "sync.versioned_tables": ("VersionedTable",),
    "ttl.rule": ("TimeToLive",),
    "versioning.writes": ("DELETE",),
}

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    __getattr__, __dir__ = public_names(__name__, __all__, _HOMES)
