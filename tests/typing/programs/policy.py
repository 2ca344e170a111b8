"""Settings: a policy for all, another one for a table, and tenacity's strategies."""

import random

import tenacity

import resilient_ddb as rddb
from resilient_ddb import aio

policy = rddb.Policy(
    retry=rddb.Retry(max_attempts=5, base_delay=0.05, max_delay=2.0),
    retry_budget=rddb.RetryBudget(),
    circuit_breaker=rddb.CircuitBreaker(failure_rate_threshold=0.3),
    on_ambiguous_write="raise",
    timeouts=rddb.Timeouts(connect=0.5, read=2.0, call=10.0),
    random=random.Random(1),
)
patient = rddb.Retry(
    wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 1),
    stop=tenacity.stop_after_delay(60) | tenacity.stop_after_attempt(20),
)
dynamodb = rddb.resource("dynamodb", region_name="eu-west-1", policy=policy, ttl={"sessions": "expires_at"})
orders = dynamodb.Table("orders")
reports = dynamodb.Table("reports", policy=policy.replace(retry=patient, retry_budget=None))
attempts: int = policy.retry.max_attempts
seconds: float | None = policy.timeouts.call


def calm(target: rddb.Table) -> rddb.Table:
    rddb.set_policy(target, policy.replace(retry=rddb.Retry(max_attempts=2)))
    return rddb.harden(target, policy=policy)


async def main() -> None:
    async with aio.resource("dynamodb", policy=policy) as dynamodb_async:
        table = await dynamodb_async.Table("reports", policy=policy.replace(retry=patient))
        await table.load()
