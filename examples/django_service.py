"""A Django service in one file: one resource for all threads, a deadline for each request, a health check.

Run it here, with a few made-up requests, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/django_service.py
Serve it: gunicorn --threads 8 --chdir examples django_service:application
"""

import math
import os
import secrets

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import Http404, JsonResponse
from django.urls import path
from django.views import View
from django.views.decorators.http import require_GET, require_POST

import resilient_ddb as rddb

REQUEST_SECONDS = float(os.environ.get("REQUEST_SECONDS", "2.5"))

# One for the process: threads may share it, and so share its connections, circuits and budgets.
dynamodb = rddb.resource("dynamodb")
orders = dynamodb.Table("orders")


class ResilientMiddleware:
    """Hold each request to a deadline, and turn errors of DynamoDB's calls into answers."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with rddb.deadline(REQUEST_SECONDS):
            return self.get_response(request)

    def process_exception(self, request, error):
        return answer_for(error) if isinstance(error, (ClientError, BotoCoreError)) else None


def answer_for(error):
    """Return what a client can act on: when to come back, and whether the write may have been applied."""
    facts = rddb.call_facts(error)
    body = {"error": type(error).__name__, "may_have_been_applied": facts is not None and facts.ambiguous}
    if isinstance(error, rddb.CircuitOpenError):
        return JsonResponse(body, status=503, headers={"Retry-After": str(max(1, math.ceil(error.retry_after)))})
    return JsonResponse(body, status=504 if isinstance(error, rddb.DeadlineExceededError) else 502)


class Order(View):
    def put(self, request, order_id):
        orders.put_item(Item={"id": order_id, "views": 0})
        return JsonResponse({"id": order_id}, status=201)

    def get(self, request, order_id):
        item = orders.get_item(Key={"id": order_id}).get("Item")
        if item is None:
            raise Http404
        return JsonResponse(shown(item))


@require_GET
def read_several(request):
    """Return several orders, which are read 100 in a request."""
    keys = [{"id": order_id} for order_id in request.GET.getlist("id")]
    return JsonResponse([shown(item) for item in orders.get_items(keys)], safe=False)


@require_POST
def count_view(request, order_id):
    response = orders.update_item(
        Key={"id": order_id},
        UpdateExpression="ADD #views :one",
        ExpressionAttributeNames={"#views": "views"},
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    return JsonResponse({"views": int(response["Attributes"]["views"])})


@require_GET
def ready(request):
    """Return whether requests are worth sending here, by the state of the circuits: DynamoDB is not asked."""
    circuits = rddb.status(orders).circuits
    refusing = [circuit.name for circuit in circuits if circuit.state == "open" and circuit.retry_after != 0]
    return JsonResponse({"refusing": refusing}, status=503 if refusing else 200)


def shown(item):
    return {"id": item["id"], "views": int(item.get("views", 0))}  # Django's JSON makes text of Decimal numbers


urlpatterns = [
    path("orders", read_several),
    path("orders/<order_id>", Order.as_view()),
    path("orders/<order_id>/views", count_view),
    path("health/ready", ready),
]

if not settings.configured:  # a project has these in its settings module
    settings.configure(
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        MIDDLEWARE=[f"{__name__}.ResilientMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY=secrets.token_urlsafe(),  # nothing here is signed
        USE_TZ=True,
    )
application = get_wsgi_application()


def main():
    from django.test import Client  # noqa: PLC0415 - the service itself doesn't need it

    create_table()
    client = Client(SERVER_NAME="localhost")
    for method, url in [
        ("PUT", "/orders/o-1"),
        ("POST", "/orders/o-1/views"),
        ("GET", "/orders/o-1"),
        ("GET", "/orders?id=o-1&id=o-2"),
        ("GET", "/health/ready"),
    ]:
        response = client.generic(method, url)
        print(method, url, response.status_code, response.content.decode())


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
