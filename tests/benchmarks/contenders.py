"""Who is measured: each with what it needs installed, and what its figures are compared with."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment."""

    name: str
    requirements: tuple[str, ...]
    same: dict[str, str] = field(default_factory=dict)
    """Packages that it has in the version of another environment, by that one's name."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A library, or one of its ways to call DynamoDB."""

    name: str
    worker: str
    """What makes it: the name of a function of `workers`, as `module.function`."""
    environment: str
    base: str
    """The contender that its figures are compared with: itself, where it is the base line."""
    is_async: bool = False
    is_ours: bool = False
    typed: bool = False
    """Whether it takes and gives DynamoDB's typed values, and so does less than a Table."""


@lru_cache(maxsize=1)
def _project() -> tuple[tuple[str, ...], tuple[str, ...]]:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    return tuple(project["dependencies"]), tuple(project["optional-dependencies"]["aio"])


def environments() -> list[Environment]:
    """Return the environments, each after those whose versions it shares."""
    needs, aio = _project()
    return [
        Environment(name="boto3 1.43", requirements=("boto3==1.43.*",)),
        Environment(name="boto3 1.44", requirements=("boto3==1.44.*",)),
        Environment(name="resilient_ddb, boto3 1.43", requirements=needs, same={"boto3": "boto3 1.43"}),
        Environment(name="resilient_ddb, boto3 1.44", requirements=needs, same={"boto3": "boto3 1.44"}),
        Environment(name="resilient_ddb.aio", requirements=needs + aio),
        Environment(name="aioboto3", requirements=("aioboto3",)),
        Environment(name="aiodynamo", requirements=("aiodynamo[aiohttp]",)),
        Environment(name="pydynox", requirements=("pydynox",)),
        Environment(name="PynamoDB", requirements=("pynamodb",), same={"botocore": "boto3 1.43"}),
    ]


def _sync(version: str) -> list[Contender]:
    boto3, ours = f"boto3 {version}", f"resilient_ddb, boto3 {version}"
    base = f"{boto3} Table"
    return [
        Contender(name=base, worker="boto.boto3_table", environment=boto3, base=base),
        Contender(
            name=f"resilient_ddb Table, {boto3}", worker="boto.ours_table", environment=ours, base=base, is_ours=True
        ),
        Contender(name=f"{boto3} client", worker="boto.boto3_client", environment=boto3, base=base, typed=True),
        Contender(
            name=f"resilient_ddb client, {boto3}",
            worker="boto.ours_client",
            environment=ours,
            base=base,
            is_ours=True,
            typed=True,
        ),
    ]


def contenders() -> list[Contender]:
    """Return all contenders; a base line comes before those that are compared with it."""
    ours, base = "resilient_ddb.aio", "aioboto3 Table"
    return [
        *_sync("1.43"),
        *_sync("1.44"),
        Contender(name="PynamoDB", worker="others.pynamodb", environment="PynamoDB", base="boto3 1.43 Table"),
        Contender(name="pydynox, sync", worker="others.pydynox_sync", environment="pydynox", base="boto3 1.43 Table"),
        Contender(name=base, worker="aio.aioboto3_table", environment="aioboto3", base=base, is_async=True),
        Contender(
            name=f"{ours} Table", worker="aio.ours_table", environment=ours, base=base, is_async=True, is_ours=True
        ),
        Contender(
            name="aiobotocore client",
            worker="aio.aiobotocore_client",
            environment=ours,
            base=base,
            is_async=True,
            typed=True,
        ),
        Contender(
            name=f"{ours} client",
            worker="aio.ours_client",
            environment=ours,
            base=base,
            is_async=True,
            is_ours=True,
            typed=True,
        ),
        Contender(name="aiodynamo", worker="others.aiodynamo", environment="aiodynamo", base=base, is_async=True),
        Contender(
            name="pydynox, async", worker="others.pydynox_async", environment="pydynox", base=base, is_async=True
        ),
    ]
