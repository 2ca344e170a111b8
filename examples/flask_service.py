"""A Flask service on threads: one resource for all of them, a deadline for each request, threads of its own.

Run it here, with a few made-up requests, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/flask_service.py
Serve it: gunicorn --threads 8 --chdir examples flask_service:app
"""

import contextvars
import math
import os
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, abort, jsonify, request

import resilient_ddb as rddb

REQUEST_SECONDS = float(os.environ.get("REQUEST_SECONDS", "2.5"))

# One for the process: threads may share it, and so share its connections, circuits and budgets.
dynamodb = rddb.resource("dynamodb")
orders = dynamodb.Table("orders")
pool = ThreadPoolExecutor(8)

app = Flask(__name__)


def bounded(wsgi_app, seconds):
    """Return a WSGI application that holds each request to a deadline."""

    def call(environ, start_response):
        with rddb.deadline(seconds):
            return wsgi_app(environ, start_response)

    return call


app.wsgi_app = bounded(app.wsgi_app, REQUEST_SECONDS)


@app.errorhandler(ClientError)
@app.errorhandler(BotoCoreError)
def answer_for(error):
    """Return what a client can act on: when to come back, and whether the write may have been applied."""
    facts = rddb.call_facts(error)
    body = jsonify(error=type(error).__name__, may_have_been_applied=facts is not None and facts.ambiguous)
    if isinstance(error, rddb.CircuitOpenError):
        return body, 503, {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return body, 504 if isinstance(error, rddb.DeadlineExceededError) else 502


@app.put("/orders/<order_id>")
def place(order_id):
    orders.put_item(Item={"id": order_id, "views": 0})
    return {"id": order_id}, 201


@app.get("/orders/<order_id>")
def read(order_id):
    return found(order_id) or abort(404)


@app.get("/orders")
def read_several():
    """Return several orders, read on threads. A thread has no deadline of its own: a copy of the context brings it."""
    ids = request.args.getlist("id")
    futures = [pool.submit(contextvars.copy_context().run, found, order_id) for order_id in ids]
    return [future.result() for future in futures]


@app.post("/orders/<order_id>/views")
def count_view(order_id):
    response = orders.update_item(
        Key={"id": order_id},
        UpdateExpression="ADD #views :one",
        ExpressionAttributeNames={"#views": "views"},
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    return {"views": int(response["Attributes"]["views"])}


def found(order_id):
    item = orders.get_item(Key={"id": order_id}).get("Item")
    return item and {"id": item["id"], "views": int(item.get("views", 0))}  # Flask's JSON has no Decimal numbers


def main():
    create_table()
    client = app.test_client()
    for method, path in [
        ("PUT", "/orders/o-1"),
        ("POST", "/orders/o-1/views"),
        ("GET", "/orders/o-1"),
        ("GET", "/orders?id=o-1&id=o-2"),
    ]:
        response = client.open(path, method=method)
        print(method, path, response.status_code, response.text.strip())


def create_table():
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
    main()
