"""What an error says, and how an error of anybody's is classified."""

from botocore.exceptions import BotoCoreError, ClientError

import resilient_ddb as rddb
from resilient_ddb.events import StopReason

orders = rddb.resource("dynamodb").Table("orders")


def put(name: str) -> str:
    try:
        orders.put_item(Item={"id": name}, ReturnConsumedCapacity="TOTAL")
    except orders.meta.client.exceptions.ProvisionedThroughputExceededException as error:
        return str(error)
    except rddb.ResilienceError as error:
        return error.resilience.note()
    except (ClientError, BotoCoreError) as error:
        facts = rddb.call_facts(error)
        if facts is None:
            raise
        return describe(facts)
    return "written"


def describe(facts: rddb.CallFacts) -> str:
    table = facts.table or "several tables"
    if facts.ambiguous:
        return f"{facts.operation} of {table} is in doubt"
    if facts.kind is rddb.ErrorKind.THROTTLING:
        return ", ".join(reason.reason for reason in facts.throttling_reasons)
    if facts.stopped_by is StopReason.DEADLINE:
        return f"{facts.elapsed:.1f} s were not enough"
    return f"{facts.kind}: {facts.attempts} attempts"


def is_worth_another_try(error: ClientError) -> bool:
    found: rddb.Classification = rddb.classify(error, operation="GetItem")
    return found.retryable and not found.ambiguous
