"""Signatures: the same as botocore's own signer gives, to the bit; and nothing else is signed by the quick one."""

import copy
import hmac
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import AUTH_TYPE_MAPS, SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples
from shortcut_support import NOW, at, counted

from resilient_ddb.hooks import plans
from resilient_ddb.hooks.shortcuts import quicken
from resilient_ddb.hooks.signing import QuickSigV4Auth, SigningMemory

URL = "https://dynamodb.eu-west-1.amazonaws.com/"
TRAILER = {"request_algorithm": {"algorithm": "crc32", "in": "trailer", "name": "x-amz-checksum-crc32"}}
CREDENTIALS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
WITH_TOKEN = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", " a  session\ttoken ")


class Opened:
    """The bytes of a body in a file, which stands somewhere: opened anew for each signer."""

    def __init__(self, content, position=0):
        self.content = content
        self.position = position

    def __repr__(self):
        return f"Opened({self.content!r}, {self.position})"

    def open(self):
        file = File(self.content)
        file.seek(self.position)
        return file


class File(io.BytesIO):
    def __eq__(self, other):
        return (self.getvalue(), self.tell()) == (other.getvalue(), other.tell())

    __hash__ = None


class Wanted:
    """A request that each signer gets an equal one of."""

    def __init__(self, url=URL, headers=(), body=b'{"TableName": "orders"}', params=None, method="POST", context=None):
        self.url, self.headers, self.body, self.params = url, list(headers), body, params
        self.method, self.context = method, context or {}

    def __repr__(self):
        return f"Wanted(**{vars(self)!r})"

    def make(self):
        body = self.body.open() if isinstance(self.body, Opened) else self.body
        request = AWSRequest(self.method, self.url, data=body, params=copy.copy(self.params))
        for name, value in self.headers:  # each is added to those of the same name
            request.headers[name] = value
        request.context.update(copy.deepcopy(self.context))
        return request


def quick(*arguments, memory=None):
    return quicken(SigV4Auth(*arguments), memory or SigningMemory())


def outcome(auth, request, now=NOW):
    """Return all that signing does to a request, or what it raises."""
    try:
        with at(now):
            auth.add_auth(request)
    except Exception as error:  # noqa: BLE001 - whatever botocore raises, the quick signer has to raise too
        return type(error), str(error)
    return list(request.headers.items()), request.context, request.url, request.data, request.params


def assert_same(wanted, credentials=CREDENTIALS, service="dynamodb", region="eu-west-1", now=NOW, memory=None):
    expected = outcome(SigV4Auth(credentials, service, region), wanted.make(), now)
    memory = memory or SigningMemory()
    for time in ("first", "second"):
        found = outcome(quick(credentials, service, region, memory=memory), wanted.make(), now)
        assert found == expected, time


SET_BY_SIGNING = ["Authorization", "X-Amz-Date", "Date", "X-Amz-Security-Token", "Host"]
OTHERS = ["X-Amz-Content-SHA256", "X-Amz-Target", "Content-Type", "X-Mine", "X-Other "]
names = st.sampled_from([*SET_BY_SIGNING, *OTHERS, *SIGNED_HEADERS_BLACKLIST]).flatmap(
    lambda name: st.sampled_from([name, name.lower(), name.upper(), name.title()])
)
values = (
    st.sampled_from(["", " ", "  a   b ", "a\tb\n c", "Zoë √2", "UNSIGNED-PAYLOAD", "0" * 64, "Signature=x", b"bytes"])
    | st.text(st.sampled_from("aZ0 ,;=\t\xa0é√"), max_size=8)
)  # fmt: skip
urls = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["https", "http", "HTTPS"]),
    st.sampled_from(["dynamodb.eu-west-1.amazonaws.com", "LOCALHOST", "user:word@proxy.example", "[::1]", ""]),
    st.sampled_from(["", "", ":80", ":443", ":8000", ":x"]),
    st.sampled_from(["", "/", "/a b/", "/a/../b", "//a//./b", "/%7Euser/~", "/é\n"]),
    st.sampled_from(["", "?", "?b=2&a=1&a=0", "?flag&x=%2F", "?=&&é=ü", "#part", "?q#part"]),
)
bodies = (
    st.binary(min_size=1, max_size=40)
    | st.sampled_from([b"", "", None, "text", "Zoë", bytearray(b"array"), {}, {"form": "é", "b": "2"}])
    | st.builds(Opened, st.binary(max_size=20), st.integers(0, 3))
)
parameters = st.sampled_from([None, None, None, {}, {"b": "2", "a": 1}, [("b", "ü"), ("a", "~/"), ("a", "")]])
contexts = st.fixed_dictionaries(
    {},
    optional={
        "payload_signing_enabled": st.booleans(),
        "checksum": st.sampled_from(
            [{}, TRAILER, {"request_algorithm": {"in": "header"}}, {"response_algorithms": []}]
        ),
        "timestamp": st.just("19991231T235959Z"),
        "signing": st.just({"region": "elsewhere"}),
    },
)
wanteds = st.builds(
    Wanted,
    urls,
    st.lists(st.tuples(names, values), max_size=6),
    bodies,
    parameters,
    st.sampled_from(["POST", "post", "GET", "Put"]),
    contexts,
)
credentials = st.none() | st.builds(
    ReadOnlyCredentials,
    st.sampled_from(["AKIDEXAMPLE", "", "Ä/K"]),
    st.sampled_from(["secret", "", "ключ", "long" * 40, None]),
    st.none() | values,
)
moments = st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - as botocore's own


@examples(600)
@given(wanteds, credentials, st.sampled_from(["dynamodb", "dax"]), st.sampled_from(["eu-west-1", "", None]), moments)
def test_a_request_is_signed_as_by_botocore(wanted, who, service, region, now):
    assert_same(wanted, who, service, region, now)


plain_headers = st.lists(st.tuples(st.sampled_from(["X-Amz-Target", "user-agent", "x-mine"]), values), max_size=4)


@examples(300)
@given(st.builds(Wanted, headers=plain_headers, body=st.binary(min_size=1)), st.sampled_from([CREDENTIALS, WITH_TOKEN]))
def test_an_ordinary_request_is_signed_as_by_botocore(wanted, who):
    assert_same(wanted, who)


@pytest.mark.parametrize("name", ["X-Amz-Content-SHA256", "x-amz-content-sha256"])
@pytest.mark.parametrize("value", ["", " ", "  a  b ", "UNSIGNED-PAYLOAD", "0" * 64, b"bytes"])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_stated_hash_of_the_payload_is_taken_as_it_stands(name, value, enabled):
    assert_same(Wanted(headers=[(name, value)], context={"payload_signing_enabled": enabled}))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "checksum", [{}, TRAILER, {"request_algorithm": {"in": "header"}}, {"request_algorithm": "md5"}]
)
@pytest.mark.parametrize("enabled", [True, False])
def test_payloads_that_are_not_hashed(scheme, checksum, enabled):
    context = {"checksum": checksum, "payload_signing_enabled": enabled}
    assert_same(Wanted(url=f"{scheme}://localhost", context=context))


@pytest.mark.parametrize("name", SET_BY_SIGNING)
@pytest.mark.parametrize("given_values", [["before"], [""], ["one", "two"]])
@pytest.mark.parametrize("who", [CREDENTIALS, WITH_TOKEN], ids=["no token", "token"])
def test_headers_that_are_set_by_signing(name, given_values, who):
    assert_same(Wanted(headers=[(name, value) for value in given_values]), who)


@pytest.mark.parametrize("name", [" X-Mine", "X-Mine ", "X\tMine", "", "İ-Mine", "K-mine", "Zoë"])
def test_odd_names_of_headers(name):
    assert_same(Wanted(headers=[(name, "value"), ("k-mine", "value"), ("X-Mine", "value")]))


@pytest.mark.parametrize("value", ["\ud800", "a\udcffb", "\x00", "line\r\nbreak", "\u2028"])
def test_odd_values_of_headers(value):
    memory = SigningMemory()
    assert_same(Wanted(), memory=memory)
    assert_same(Wanted(headers=[("X-Mine", value)]), memory=memory)


@pytest.mark.parametrize(
    "url", ["", "localhost", "https://", "https://h:99999/", "https://h:x/", "/path", "https://[::1/"]
)
def test_urls_that_are_none(url):
    assert_same(Wanted(url=url))


@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
def test_headers_can_be_added_to_those_that_are_not_signed(known):
    memory, was = SigningMemory(), list(SIGNED_HEADERS_BLACKLIST)
    if known:
        assert_same(Wanted(headers=[("X-Mine", "a")]), memory=memory)
    try:
        SIGNED_HEADERS_BLACKLIST.append("x-mine")
        assert_same(Wanted(headers=[("X-Mine", "a")]), memory=memory)
    finally:
        SIGNED_HEADERS_BLACKLIST[:] = was


@pytest.mark.parametrize(
    ("method", "headers", "body", "signature"),
    [
        ("GET", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            [("Content-Type", "application/x-www-form-urlencoded")],
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_signatures_of_amazons_test_suite(method, headers, body, signature):
    request = Wanted("https://example.amazonaws.com/", headers, body, method=method).make()
    with at(datetime(2015, 8, 30, 12, 36)):  # noqa: DTZ001 - as botocore's own
        quick(CREDENTIALS, "service", "us-east-1").add_auth(request)
    assert request.headers["Authorization"].endswith(f"Signature={signature}")


def test_the_signing_key_of_amazons_documentation():
    key = bytes.fromhex("f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d")
    request = Wanted(context={"timestamp": "20120215T000000Z"}).make()
    found = quick(CREDENTIALS, "iam", "us-east-1").signature("text", request)
    assert found == hmac.digest(key, b"text", "sha256").hex()


# One memory for the requests of a client.


ONE, TWO = (ReadOnlyCredentials(f"AKID{number}", f"secret {number}", None) for number in (1, 2))
FEW_URLS = (
    URL,
    "https://dynamodb.us-east-1.amazonaws.com/",
    f"{URL}b/?x=1",
    "http://localhost:8000",
    "HTTPS://Host:443",
)
few = st.builds(
    Wanted,
    st.sampled_from(FEW_URLS),
    st.lists(st.sampled_from([("Host", "tunnel.example"), ("host", "b"), ("X-Mine", "a  b"), ("TE", "x")]), max_size=2),
    st.sampled_from([b"{}", b"[]", b"", "text"]),
    st.sampled_from([None, None, {"a": "1"}]),
)
signings = st.tuples(
    few,
    st.sampled_from([ONE, TWO, ReadOnlyCredentials("AKID1", "secret 2", "token"), None]),
    st.sampled_from(["dynamodb", "dynamodb", "dax"]),
    st.sampled_from(["eu-west-1", "us-east-1"]),
    st.sampled_from([NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=2), NOW + timedelta(days=365)]),
)
TUNNELLED = (Wanted(headers=[("Host", "tunnel.example")]), ONE, "dynamodb", "eu-west-1", NOW)
ORDINARY = (Wanted(), ONE, "dynamodb", "eu-west-1", NOW)


@examples(300)
@example([TUNNELLED, ORDINARY])
@example([ORDINARY, TUNNELLED, ORDINARY])
@given(st.lists(signings, max_size=8))
def test_requests_of_any_order_do_not_mix(sequence):
    memory = SigningMemory()
    for arguments in sequence:
        assert_same(*arguments, memory=memory)


@example([(Wanted(), NOW), (Wanted("https://"), NOW)])
@given(st.lists(st.tuples(wanteds | few, st.sampled_from([NOW, NOW + timedelta(seconds=2)])), max_size=4))
def test_a_signer_that_is_used_again(sequence):
    theirs, ours = SigV4Auth(ONE, "dynamodb", "eu-west-1"), quick(ONE, "dynamodb", "eu-west-1")
    for wanted, now in sequence:
        expected, found = wanted.make(), wanted.make()
        assert outcome(ours, found, now)[:2] == outcome(theirs, expected, now)[:2]


@pytest.mark.parametrize("headers", [[], [("Date", "before")], [("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")]])
@pytest.mark.parametrize("who", [CREDENTIALS, WITH_TOKEN], ids=["no token", "token"])
def test_a_request_that_is_signed_again_after_midnight(headers, who):
    memory, wanted = SigningMemory(), Wanted(headers=headers)
    expected, found = wanted.make(), wanted.make()
    seen = set()
    for seconds in (0, 1, 2, 3):
        now = NOW + timedelta(seconds=seconds)
        theirs = outcome(SigV4Auth(who, "dynamodb", "eu-west-1"), expected, now)
        assert outcome(quick(who, "dynamodb", "eu-west-1", memory=memory), found, now) == theirs
        seen.update(found.headers.get_all("Authorization"))
    assert len(seen) == 4


# What is signed by it.


CANONICAL = ["canonical_request", "canonical_headers", "canonical_query_string", "signed_headers", "payload"]
PARTS = [*CANONICAL, "_normalize_url_path", "_header_value", "credential_scope", "string_to_sign", "signature", "scope"]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
def test_a_part_of_botocores_signer_that_was_replaced_has_its_say(monkeypatch, name, known):
    memory, original = SigningMemory(), getattr(SigV4Auth, name)
    if known:
        assert_same(Wanted(), memory=memory)
    monkeypatch.setattr(SigV4Auth, name, lambda *arguments: f"{original(*arguments)}-mine")
    assert_same(Wanted(headers=[("X-Mine", "a")]), memory=memory)


@pytest.mark.parametrize("name", AUTH_TYPE_MAPS)
def test_only_botocores_own_signer_is_made_quick(name):
    cls = AUTH_TYPE_MAPS[name]
    auth = object.__new__(cls)
    assert quicken(auth, SigningMemory()) is auth
    assert type(auth) is (QuickSigV4Auth if cls is SigV4Auth else cls)


def test_a_subclass_of_the_signer_stays_what_it_is():
    class Mine(SigV4Auth):
        def canonical_request(self, request):
            return "mine"

    assert type(quicken(Mine(CREDENTIALS, "dynamodb", "eu-west-1"), SigningMemory())) is Mine
    assert quicken(None, SigningMemory()) is None


def test_a_quick_signer_stays_quick_with_its_memory():
    memory = SigningMemory()
    auth = quick(CREDENTIALS, "dynamodb", "eu-west-1", memory=memory)
    assert type(quicken(auth, SigningMemory())) is QuickSigV4Auth
    assert auth.memory is memory


def test_an_ordinary_request_goes_the_short_way():
    memory = SigningMemory()
    with counted(prepared=(AWSRequest, "prepare")) as counts:  # botocore's signer does, to see the body
        for number in range(5):
            request = Wanted(headers=[("X-Amz-Target", str(number)), ("User-Agent", "a")]).make()
            quick(WITH_TOKEN, "dynamodb", "eu-west-1", memory=memory).add_auth(request)
    assert counts["prepared"] <= 1, "botocore's way was gone for a URL that was known"


@pytest.mark.parametrize("seconds", [0.0, 0.999, 86_399.5, 1_764_000_000.25, 4_102_444_799.999])
def test_plans_sign_with_the_time_that_botocore_would_sign_with(seconds, monkeypatch):
    monkeypatch.setattr(plans.time, "time", lambda: seconds)
    expected = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    assert [plans.timestamp_now(), plans.timestamp_now()] == [expected, expected]


def test_plans_ask_another_clock_of_botocores_signer():
    for moment in (NOW, NOW + timedelta(seconds=1)):
        with at(moment):
            assert plans.timestamp_now() == moment.strftime("%Y%m%dT%H%M%SZ")


def test_an_invocation_has_an_id_like_botocores():
    drawn = [uuid.UUID(plans.new_invocation()) for _ in range(200)]
    assert {(each.version, each.variant) for each in drawn} == {(4, uuid.RFC_4122)}
    assert len(set(drawn)) == len(drawn)
    assert {str(each)[19] for each in drawn} == set("89ab")
