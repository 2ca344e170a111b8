"""boto3's own resource model of DynamoDB, which the classes of both rims are made from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import DataNotFoundError
from botocore.loaders import Loader

_API_VERSION = "2012-08-10"


@lru_cache(maxsize=1)
def resource_definitions() -> Any:
    """Return boto3's resource model of DynamoDB, by its path: to look for it takes 5 ms."""
    loader = Loader(extra_search_paths=[str(Path(boto3.__file__).parent / "data")])
    try:
        return loader.load_data(str(Path("dynamodb", _API_VERSION, "resources-1")))
    except DataNotFoundError:
        return loader.load_service_model("dynamodb", "resources-1")
