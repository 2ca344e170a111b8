"""A FastAPI service: one client for the process, a deadline for each request, background work, health checks.

Run it here, with a few made-up requests, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/fastapi_service.py
Serve it: uvicorn --app-dir examples fastapi_service:app
"""

import asyncio
import math
import os
from contextlib import asynccontextmanager

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import JSONResponse

import resilient_ddb as rddb
from resilient_ddb import aio

REQUEST_SECONDS = float(os.environ.get("REQUEST_SECONDS", "2.5"))
BACKGROUND_SECONDS = 60.0

orders = aio.table("orders")  # opens with its first call


@asynccontextmanager
async def lifespan(app):
    yield
    await orders.close()  # connections end with the service


class Deadline:
    """Hold each request to a deadline: what it calls, its dependencies and its threads."""

    def __init__(self, app, seconds):
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with rddb.deadline(self.seconds):
            await self.app(scope, receive, send)


app = FastAPI(lifespan=lifespan)
app.add_middleware(Deadline, seconds=REQUEST_SECONDS)


@app.exception_handler(ClientError)
@app.exception_handler(BotoCoreError)
async def answer_for(request, error):
    """Return what a client can act on: when to come back, and whether the write may have been applied."""
    facts = rddb.call_facts(error)
    body = {"error": type(error).__name__, "may_have_been_applied": facts is not None and facts.ambiguous}
    if isinstance(error, rddb.CircuitOpenError):
        wait = str(max(1, math.ceil(error.retry_after)))
        return JSONResponse(body, status_code=503, headers={"Retry-After": wait})
    if isinstance(error, rddb.DeadlineExceededError):
        return JSONResponse(body, status_code=504)
    return JSONResponse(body, status_code=502)


@app.put("/orders/{order_id}", status_code=201)
async def place(order_id: str, background: BackgroundTasks):
    await orders.put_item(Item={"id": order_id, "views": 0})
    background.add_task(add_to_total)
    return {"id": order_id}


@app.get("/orders/{order_id}")
async def read(order_id: str):
    response = await orders.get_item(Key={"id": order_id})
    if "Item" not in response:
        raise HTTPException(404)
    return response["Item"]


@app.post("/orders/{order_id}/views")
async def count_view(order_id: str):
    response = await orders.update_item(
        Key={"id": order_id},
        UpdateExpression="ADD #views :one",
        ExpressionAttributeNames={"#views": "views"},
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    return response["Attributes"]


async def add_to_total():
    """Run after the response was sent. The request's deadline would still hold here: lift it, and set one for this."""
    with rddb.no_deadline(), rddb.deadline(BACKGROUND_SECONDS):
        await orders.update_item(
            Key={"id": "total"},
            UpdateExpression="ADD placed :one",
            ExpressionAttributeValues={":one": 1},
        )


@app.get("/health/live")
async def live():
    """Return whether this process runs. DynamoDB is not asked: a restart would not mend it."""
    return {"status": "ok"}


@app.get("/health/ready")
async def ready():
    """Return whether requests are worth sending here, by the state of the circuits: DynamoDB is not asked."""
    circuits = rddb.status(orders).circuits
    refusing = [circuit.name for circuit in circuits if circuit.state == "open" and circuit.retry_after != 0]
    return JSONResponse({"refusing": refusing}, status_code=503 if refusing else 200)


async def main():
    import httpx  # noqa: PLC0415 - the service itself doesn't need it

    create_table()
    transport = httpx.ASGITransport(app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for method, path in [
            ("PUT", "/orders/o-1"),
            ("POST", "/orders/o-1/views"),
            ("GET", "/orders/o-1"),
            ("GET", "/orders/o-2"),
            ("GET", "/health/ready"),
        ]:
            response = await client.request(method, path)
            print(method, path, response.status_code, response.text)


def create_table():
    dynamodb = rddb.resource("dynamodb")
    try:
        dynamodb.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        ).wait_until_exists()
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return  # it is there already


if __name__ == "__main__":
    asyncio.run(main())
