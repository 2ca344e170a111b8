"""What a response says of itself: where it came from, and what is missing from it."""

import dataclasses

import pytest

import resilient_ddb as rddb


def marked(**marks):
    return {"Item": {}, "ResponseMetadata": {"HTTPStatusCode": 200, "Resilience": marks}}


@pytest.mark.parametrize(
    ("response", "facts"),
    [
        ({}, {}),
        ({"ResponseMetadata": None}, {}),
        ({"ResponseMetadata": {"Resilience": 5}}, {}),
        ({"Item": {}, "ResponseMetadata": {"HTTPStatusCode": 200}}, {}),
        (marked(stale=True, age=3.5), {"source": "stale", "age": 3.5}),
        (marked(cache=True, age=0.5), {"source": "cache", "age": 0.5}),
        (marked(replica="us-east-1"), {"source": "replica", "region": "us-east-1"}),
        (marked(fallback="response"), {"source": "fallback"}),
        (marked(fallback="f", cache=True, age=2), {"source": "cache", "age": 2}),
        (marked(fallback="f", stale=True, age=2), {"source": "stale", "age": 2}),
        (marked(fallback="f", missing_shards=5, missing_keys=None), {"source": "fallback"}),
        (marked(version=7), {"version": 7}),
        (marked(missing_shards=[1, 3]), {"missing_shards": (1, 3)}),
        (marked(missing_keys=["a"], stale=True, age=1.0), {"missing_keys": ("a",), "source": "stale", "age": 1.0}),
    ],
)
def test_a_response_says_where_it_came_from(response, facts):
    wanted = {
        "source": "dynamodb",
        "age": None,
        "region": None,
        "version": None,
        "missing_shards": (),
        "missing_keys": (),
        **facts,
    }
    info = rddb.response_info(response)
    assert dataclasses.asdict(info) == wanted
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.source = "dynamodb"
    assert info == rddb.response_info(response)
