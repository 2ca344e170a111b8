"""A shorter way is taken only where a part of botocore is its own, and as expected; other parts are left alone."""

import copy
import inspect
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.regions import EndpointRulesetResolver
from botocore.serialize import JSONSerializer
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from botocore.validate import ParamValidator
from shortcut_clients import SERIALIZERS, MyAgent, MySerializer, OtherHooks, Wired, keys, wire_both
from shortcut_support import BOTOCORES_WORK, CALLS, HANDLERS, NOW, at, counted, facts

import resilient_ddb as rddb
from resilient_ddb.hooks.shortcuts import remembered

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _frozen():
    with at(NOW):
        yield


@pytest.fixture
def both(opened):
    """Return a function that makes a plain client and a hardened one: see `wire_both`."""
    return partial(wire_both, opened)


def assert_same(plain, hardened, operation, **params):
    expected = plain.call(operation, **params)
    assert hardened.call(operation, **params) == expected
    return expected


class MySigner(RequestSigner):
    def get_auth_instance(self, signing_name, region_name, *args, **kwargs):
        return super().get_auth_instance(signing_name, "mine", *args, **kwargs)


class MyResolver(EndpointRulesetResolver):
    def construct_endpoint(self, *args, **kwargs):
        found = super().construct_endpoint(*args, **kwargs)
        return found._replace(url=f"{found.url}/mine")


PARTS = {
    "_serializer": MySerializer,
    "_user_agent_creator": MyAgent,
    "_request_signer": MySigner,
    "_ruleset_resolver": MyResolver,
}


def part_of(client, part):
    """Return a part of a client, and what it is made of now."""
    found = vars(client).get(part)
    return found, None if found is None else dict(vars(found))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["missing", "none", "of another class"])
def test_parts_that_are_not_as_expected_are_left_alone(both, part, how):
    def prepare(client):
        if how == "missing":
            delattr(client, part)
        elif how == "none":
            setattr(client, part, None)
        else:
            getattr(client, part).__class__ = PARTS[part]
        before.append(part_of(client, part))

    before = []
    plain, hardened = both(prepare=prepare)
    assert part_of(hardened.client, part) == before[1]
    for _ in range(2):
        for operation, params in CALLS.items():
            assert_same(plain, hardened, operation, **params)


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=SERIALIZERS)
def test_serializers_that_are_not_as_expected_are_left_alone(both, serializer):
    plain, hardened = both(prepare=lambda client: setattr(client, "_serializer", serializer))
    for table in ("orders", "orders", "customers"):
        for operation in ("GetItem", "PutItem"):
            assert_same(plain, hardened, operation, **{**CALLS[operation], "TableName": table})


def test_events_of_anothers_making(both):
    plain, hardened = both(Credentials(**keys(1, "1" * 12)), events=OtherHooks)
    for _ in range(2):
        for operation, params in CALLS.items():
            assert_same(plain, hardened, operation, **params)
    for wired in (plain, hardened):
        wired.client.meta.events.register(*HANDLERS["endpoint"])
    assert "elsewhere" in assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])[1]


REPLACED = {
    "serialize_to_request": JSONSerializer,
    "validate": ParamValidator,
    "to_string": UserAgentString,
    "construct_endpoint": EndpointRulesetResolver,
}


@pytest.mark.parametrize(("name", "owner"), REPLACED.items())
def test_methods_of_botocores_parts_that_were_replaced_have_their_say(both, name, owner):
    found = []
    with counted(calls=(owner, name)) as counts:
        for wired in both():
            counts.clear()
            for _ in range(3):
                wired.call("GetItem", **CALLS["GetItem"])
            found.append(counts["calls"])
    assert found[1] == found[0] >= 3


def shortcuts_of(client):
    return [part_of(client, part) for part in PARTS]


def test_hardening_again_changes_nothing(both):
    _, hardened = both()
    before = shortcuts_of(hardened.client)
    for policy in (None, rddb.Policy()):
        rddb.harden(hardened.client, policy=policy)
        assert shortcuts_of(hardened.client) == before


def test_views_of_a_client_go_the_same_ways(hardened):
    resource = hardened()
    table = resource.Table("orders")
    wired = Wired(table.meta.client)
    for view in (
        table,
        copy.copy(table),
        resource.Table("orders", policy=rddb.Policy(fallback=lambda call, error: None)),
        resource.Table("orders"),
    ):
        assert shortcuts_of(view.meta.client) == shortcuts_of(table.meta.client)
        with counted(**BOTOCORES_WORK) as counts:
            view.get_item(Key={"pk": "1"})
        assert (counts["serializations"] > 0) == (len(wired.sent) == 1)
    assert len({repr(facts(request)[:3]) for request in wired.sent}) == 1


def test_there_is_an_end_to_user_agents_that_are_remembered():
    config = Config()
    built = remembered(lambda: f"agent {config.user_agent_extra}", config)
    for number in range(2500):
        config.user_agent_extra = str(number)
        assert built() == f"agent {number}"
    assert len(inspect.getclosurevars(built).nonlocals["known"]) <= 1000


# Another botocore.


PROGRAM = """
import functools, io
import boto3, botocore.session
from botocore.awsrequest import AWSResponse

{before}

import resilient_ddb
resilient_ddb.harden

{after}

class Raw(io.BytesIO):
    stream = lambda self, **_: iter([self.read()])

def answer(request, **_):
    print(request.headers["Authorization"].decode()[-64:], request.body)
    return AWSResponse(request.url, 200, {{}}, Raw(b"{{}}"))

arguments = {{"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}}
client = boto3.Session().client("dynamodb", **arguments)
if {hardened}:
    resilient_ddb.harden(client)
client.meta.events.register("before-send.dynamodb", answer)
import botocore.auth, datetime
botocore.auth.get_current_datetime = lambda: datetime.datetime(2026, 11, 21)
for _ in range(2):
    client.list_tables()
    client.get_item(TableName="t", Key={{"pk": {{"S": "1"}}}})
"""


EACH = """
import json, os, sys
import boto3, botocore.client, botocore.session

for program in json.load(sys.stdin):
    child = os.fork()
    if not child:
        exec(program, {})
        sys.stdout.flush()
        os._exit(0)
    print("ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each program in a process of its own, which has imported boto3 but not the library."""

NAMES = [
    "botocore.context.get_context",
    "botocore.context.start_as_current_context",
    "botocore.useragent.UserAgentString",
    "botocore.validate.ParamValidationDecorator",
    "botocore.validate.ParamValidator",
    "botocore.serialize.JSONSerializer",
    "botocore.regions.EndpointRulesetResolver",
]


def lacking(name):
    """Return what takes a part from botocore, and keeps it."""
    return f"import {name.rpartition('.')[0]}; found = {name}; del {name}"


WRAPPED = """
from botocore.auth import SigV4Auth
original = SigV4Auth.payload
SigV4Auth.payload = functools.wraps(original)(lambda self, request: original(self, request) + "0")
"""


@pytest.fixture(scope="module")
def printed(aws_env):
    """Return the lines that each program prints, by whether it hardens its client and by what it does before."""
    found = {(hardened, WRAPPED): "" for hardened in (False, True)} | {(False, ""): ""}
    found |= {(True, lacking(name)): f"{name} = found" for name in NAMES}
    programs = [PROGRAM.format(hardened=each[0], before=each[1], after=after) for each, after in found.items()]
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", EACH],
        cwd=ROOT,
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *outputs, _ = re.split(r"(?<=ended with 0)\n", done.stdout)
    assert len(outputs) == len(programs), done.stdout + done.stderr
    return {each: output.split("\n")[:-1] for each, output in zip(found, outputs, strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_a_botocore_that_lacks_a_part_is_done_without(printed, name):
    assert len(printed[True, lacking(name)]) == 4


def test_a_part_that_was_replaced_before_has_its_say(printed):
    """Of the calls without parameters, whose JSON has no spaces, also the signatures are compared."""
    wrapped, plain, untouched = printed[True, WRAPPED], printed[False, WRAPPED], printed[False, ""]
    assert wrapped[::2] == plain[::2] != untouched[::2]
