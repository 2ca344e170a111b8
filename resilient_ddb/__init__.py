"""boto3's DynamoDB Table, hardened: retries, circuit breakers, fallbacks and no double apply, sync and async.

    import resilient_ddb as rddb

    orders = rddb.resource("dynamodb").Table("orders")  # a boto3 Table, used as ever

The async twin is `resilient_ddb.aio`; what helps in tests is `resilient_ddb.testing`.
"""

from . import fallback, observers
from ._version import __version__
from .breaker import Breaker
from .classify import Kind, ThrottlingReason, Verdict, classify
from .deadlines import deadline, lambda_deadline
from .errors import (
    CallFacts,
    CircuitOpenError,
    DeadlineExceededError,
    ResilienceError,
    UnprocessedItemsError,
)
from .policy import Policy, Timeouts
from .retry import Retry, RetryBudget
from .session import client, install, resource, table
from .table import ResilientServiceResource, ResilientTable

__all__ = [
    "Breaker",
    "CallFacts",
    "CircuitOpenError",
    "DeadlineExceededError",
    "Kind",
    "Policy",
    "ResilienceError",
    "ResilientServiceResource",
    "ResilientTable",
    "Retry",
    "RetryBudget",
    "ThrottlingReason",
    "Timeouts",
    "UnprocessedItemsError",
    "Verdict",
    "__version__",
    "classify",
    "client",
    "deadline",
    "fallback",
    "install",
    "lambda_deadline",
    "observers",
    "resource",
    "table",
]
