"""The one switch of the fast path."""

import resilient_ddb as rddb
from resilient_ddb import aio

policy = rddb.Policy(fast_path=False)
orders = rddb.resource("dynamodb", policy=policy).Table("orders")
orders_async = aio.table("orders", policy=policy.replace(fast_path=True))
chosen: bool | None = policy.fast_path
