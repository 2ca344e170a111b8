"""Who is compared: each with what it needs installed, and what makes it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contenders import Environment
from benchmarks.contenders import environments as measured

SAME = {"boto3": "boto3 1.44"}
"""What stands around boto3 stands around this one."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A library, or a way to call DynamoDB, with the settings that it has by itself."""

    name: str
    maker: str
    """The function of `callers` that makes it."""
    environment: str
    packages: tuple[str, ...]
    """The packages whose versions are told."""
    is_ours: bool = False
    only: tuple[str, ...] = ()
    """The scenarios that are of interest; all if there are none."""


def environments() -> list[Environment]:
    """Return the environments, each after those whose versions it shares."""
    shared = {each.name: each for each in measured()}
    around = [
        Environment(name=name, requirements=(name,), same=SAME)
        for name in ("tenacity", "stamina", "aws-lambda-powertools")
    ]
    names = ("boto3 1.43", "boto3 1.44", "resilient_ddb, boto3 1.44", "resilient_ddb.aio")
    others = ("aioboto3", "aiodynamo", "pydynox")
    pynamodb = Environment(name="PynamoDB with boto3 1.44", requirements=("pynamodb",), same={"botocore": "boto3 1.44"})
    return [shared[name] for name in (*names, *others)] + [*around, pynamodb]


CONTENDERS = [
    Contender(
        name="resilient_ddb", maker="ours", environment="resilient_ddb, boto3 1.44", packages=("boto3",), is_ours=True
    ),
    Contender(
        name="resilient_ddb, idempotent_update",
        maker="ours_certain",
        environment="resilient_ddb, boto3 1.44",
        packages=("boto3",),
        is_ours=True,
        only=("lost_updates",),
    ),
    Contender(
        name="resilient_ddb.aio",
        maker="ours_async",
        environment="resilient_ddb.aio",
        packages=("aiobotocore",),
        is_ours=True,
    ),
    Contender(name="boto3 1.43", maker="boto3_default", environment="boto3 1.43", packages=("boto3",)),
    Contender(name="boto3 1.44", maker="boto3_default", environment="boto3 1.44", packages=("boto3",)),
    Contender(name="boto3, adaptive", maker="boto3_adaptive", environment="boto3 1.44", packages=("boto3",)),
    Contender(name="tenacity", maker="with_tenacity", environment="tenacity", packages=("tenacity", "boto3")),
    Contender(name="stamina", maker="with_stamina", environment="stamina", packages=("stamina", "boto3")),
    Contender(
        name="Powertools' breaker",
        maker="with_powertools",
        environment="aws-lambda-powertools",
        packages=("aws_lambda_powertools", "boto3"),
    ),
    Contender(
        name="PynamoDB", maker="pynamodb", environment="PynamoDB with boto3 1.44", packages=("pynamodb", "botocore")
    ),
    Contender(name="pydynox", maker="pydynox", environment="pydynox", packages=("pydynox",)),
    Contender(name="aioboto3", maker="aioboto3", environment="aioboto3", packages=("aioboto3", "boto3")),
    Contender(name="aiodynamo", maker="aiodynamo", environment="aiodynamo", packages=("aiodynamo", "aiohttp")),
]
