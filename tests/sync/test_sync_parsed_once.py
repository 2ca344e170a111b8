"""botocore parses an answer once, also where somebody else's handler is to see it."""

import boto3
import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import JSONParser
from codec_calls import ACCESS
from wire_server import WireServer, answer, error

import resilient_ddb as rddb

EVENTS = ["response-received", "before-parse", "needs-retry"]


@pytest.fixture
def table(aws_env):
    with WireServer(lambda *_: [answer({"Item": {"pk": {"S": "a"}, "n": {"N": "1"}}})]) as server:
        policy = rddb.Policy(retry=rddb.Retry(max_attempts=1))
        made = rddb.table("t", endpoint_url=server.url, session=boto3.Session(**ACCESS), policy=policy)
        made.server = server
        yield made
        made.meta.client.close()


@pytest.fixture
def parsed(monkeypatch):
    """Return what botocore parses, one text after the other."""
    texts, parse = [], JSONParser.parse

    def parse_and_tell(parser, response, shape):
        texts.append(response["body"])
        return parse(parser, response, shape)

    monkeypatch.setattr(JSONParser, "parse", parse_and_tell)
    return texts


@pytest.mark.parametrize("event", EVENTS)
def test_an_answer_that_a_handler_sees_is_parsed_once(event, table, parsed):
    table.meta.client.meta.events.register_last(f"{event}.dynamodb", lambda **_: None)
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a", "n": 1}
    assert len(parsed) == 1


@pytest.mark.parametrize("event", EVENTS)
def test_an_answer_of_another_shape_that_a_handler_sees_is_none(event, table, parsed):
    table.server.script = lambda *_: [answer({"Item": 5})]
    table.meta.client.meta.events.register_last(f"{event}.dynamodb", lambda **_: None)
    with pytest.raises(HTTPClientError, match="of another shape"):
        table.get_item(Key={"pk": "a"})
    assert parsed[-1] == b"{}"


def test_an_error_makes_no_parser_but_botocores_own(table, monkeypatch):
    made, make = [], JSONParser.__init__

    def make_and_tell(parser, *args, **kwargs):
        made.append(type(parser))
        make(parser, *args, **kwargs)

    monkeypatch.setattr(JSONParser, "__init__", make_and_tell)
    table.server.script = lambda *_: [error("ValidationException")]
    for _ in range(3):
        made.clear()
        with pytest.raises(ClientError, match="ValidationException"):
            table.get_item(Key={"pk": "a"})
    assert made == [JSONParser]
