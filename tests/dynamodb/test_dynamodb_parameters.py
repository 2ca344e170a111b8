"""What type checkers are told of the verbs' parameters is what DynamoDB's own operations take."""

from typing import get_args

import botocore.session
import pytest

from resilient_ddb.dynamodb import parameters

OF_OPERATIONS = [
    ("PutItem", parameters.PutParameters, {"TableName", "Item"}, {"ttl_seconds"}),
    ("GetItem", parameters.GetParameters, {"TableName", "Key"}, set()),
    ("UpdateItem", parameters.UpdateParameters, {"TableName", "Key"}, set()),
    ("DeleteItem", parameters.DeleteParameters, {"TableName", "Key"}, set()),
]


@pytest.fixture(scope="module")
def service():
    return botocore.session.Session().get_service_model("dynamodb")


@pytest.mark.parametrize(("operation", "told", "named", "ours"), OF_OPERATIONS)
def test_the_names_are_those_of_the_operation(service, operation, told, named, ours):
    members = set(service.operation_model(operation).input_shape.members)
    assert set(told.__annotations__) == members - named | ours


def test_get_items_takes_what_a_batch_takes_for_a_table(service):
    of_table = service.shape_for("KeysAndAttributes").members
    assert set(parameters.KeysParameters.__annotations__) == set(of_table) - {"Keys", "AttributesToGet"}


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (parameters.Consumed, "ReturnConsumedCapacity"),
        (parameters.Metrics, "ReturnItemCollectionMetrics"),
        (parameters.OnFailure, "ReturnValuesOnConditionCheckFailure"),
        (parameters.Updated, "ReturnValue"),
    ],
)
def test_the_words_are_those_of_the_service(service, words, shape):
    assert set(get_args(words)) == set(service.shape_for(shape).enum)
