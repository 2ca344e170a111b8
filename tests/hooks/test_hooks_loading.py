"""Our own clients read the SDK's models into dicts; the session that they are made from stays as it is."""

import json
import logging
from collections import OrderedDict
from functools import wraps
from unittest.mock import patch

import boto3.session
import botocore.session
import pytest
from botocore.credentials import Credentials
from botocore.loaders import JSONFileLoader, Loader, create_loader
from shortcut_clients import Wired, keys
from shortcut_support import headers_of

import resilient_ddb as rddb
from resilient_ddb.hooks.loading import PlainFiles, plain_loader, reading_plainly

MODELS = [
    ("dynamodb", "service-2"),
    ("dynamodb", "paginators-1"),
    ("dynamodb", "waiters-2"),
    ("dynamodb", "endpoint-rule-set-1"),
]


def core_with(loader):
    """Return botocore's session with a loader of its own: the tests' sessions share one."""
    core = botocore.session.get_session()
    core.register_component("data_loader", loader)
    return core


def with_loader(loader):
    return boto3.session.Session(botocore_session=core_with(loader))


@pytest.fixture
def core(aws_env):
    return core_with(create_loader())


@pytest.fixture
def session(core):
    return boto3.session.Session(botocore_session=core)


def has_read(loader):
    return {key[1:] for key in loader._cache}  # noqa: SLF001 - botocore has no public way


def all_dicts(value):
    """Return the types of all dicts in what was read."""
    if isinstance(value, dict):
        return {type(value)}.union(*map(all_dicts, value.values()))
    return set().union(*map(all_dicts, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("model", MODELS)
def test_models_are_the_same_but_for_their_dicts(model):
    ours, theirs = plain_loader(None).load_service_model(*model), Loader().load_service_model(*model)
    assert all_dicts(ours) == {dict}
    assert OrderedDict in all_dicts(theirs)
    assert json.dumps(ours) == json.dumps(theirs)  # in the same order, too


@pytest.mark.parametrize("path", [None, "", "/no/such/place", "/one:~/two:$HOME/three"])
def test_models_are_looked_for_in_the_same_places(path):
    assert plain_loader(path).search_paths == create_loader(path).search_paths


def test_files_are_found_and_logged_as_botocore_does(tmp_path, caplog):
    (tmp_path / "a.json").write_text('{"a": "\u00e9"}', "utf-8")
    found = []
    for files in (PlainFiles(), JSONFileLoader()):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "botocore.loaders"):
            read = [files.load_file(str(tmp_path / name)) for name in ("a", "b")]
        logged = [(each.name, each.getMessage()) for each in caplog.records]
        found.append((read, files.exists(str(tmp_path / "a")), logged))
    assert found[0] == found[1]
    assert found[0][0] == [{"a": "\u00e9"}, None]
    (tmp_path / "c.json").write_text("{", "utf-8")
    with pytest.raises(json.JSONDecodeError):
        PlainFiles().load_file(str(tmp_path / "c"))


def test_a_client_leaves_its_session_as_it_was(session, core):
    before, loader = (set(vars(session)), set(vars(core))), core.get_component("data_loader")
    client = rddb.client("dynamodb", session=session)
    model = client.meta.service_model
    assert type(model.metadata) is dict
    assert not {("dynamodb", "service-2"), ("endpoints",)} & has_read(loader)
    assert core.get_component("data_loader") is loader
    assert type(loader.file_loader) is JSONFileLoader
    after = set(vars(session)), set(vars(core))
    assert after[0] == before[0]
    assert after[1] - before[1] <= {"_last_client_region_used"}  # as any client of the session's leaves it
    theirs = session.client("dynamodb")
    assert {("dynamodb", "service-2"), ("endpoints",)} <= has_read(loader)
    assert type(theirs.meta.service_model.metadata) is OrderedDict
    assert theirs.meta.service_model.metadata == model.metadata


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "local-1"])
def test_a_client_is_made_as_the_session_makes_it(session, region):
    ours = rddb.client("dynamodb", session=session, region_name=region)
    theirs = boto3.session.Session(region_name=region).client("dynamodb")
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.region_name == theirs.meta.region_name == region
    assert ours.meta.partition == theirs.meta.partition
    assert ours.can_paginate("query")
    assert ours.waiter_names == theirs.waiter_names
    assert [each for each in dir(ours) if not each.startswith("_")] == [
        each for each in dir(theirs) if not each.startswith("_")
    ]


def test_what_the_session_has_is_used_and_kept(session, core):
    classes, asked = [], []

    class Provider:
        def load_credentials(self):
            asked.append(True)
            return Credentials(**keys(7))

    core.register_component("credential_provider", Provider())
    session.events.register("creating-client-class.dynamodb", lambda class_attributes, **_: classes.append(1))
    client = rddb.client("dynamodb", session=session)
    assert classes == [1]
    assert core.get_credentials().access_key == "AKID7"
    assert asked == [True]
    wired = Wired(client)
    wired.call("ListTables")
    assert "Credential=AKID7/" in headers_of(wired.sent[0])["authorization"]
    assert core._last_client_region_used == client.meta.region_name  # noqa: SLF001 - botocore asks itself for it


def test_a_model_that_the_session_has_read_is_not_read_again(session):
    theirs = session.client("dynamodb")
    ours = rddb.client("dynamodb", session=session)
    assert ours.meta.service_model.metadata is theirs.meta.service_model.metadata
    assert reading_plainly(session) is session


def test_two_clients_share_what_was_read(session):
    models = [rddb.client("dynamodb", session=session).meta.service_model.metadata for _ in range(2)]
    assert models[0] is models[1]


def test_a_model_of_the_users_is_found(aws_env, tmp_path):
    own = plain_loader(None).load_service_model("dynamodb", "service-2")
    place = tmp_path / "dynamodb" / "2099-01-01"
    place.mkdir(parents=True)
    (place / "service-2.json").write_text(json.dumps({**own, "documentation": "mine"}), "utf-8")
    session = with_loader(create_loader(str(tmp_path)))
    client = rddb.client("dynamodb", session=session, endpoint_url="http://127.0.0.1:1")
    assert client.meta.service_model.documentation == "mine"


class MySession(boto3.session.Session):
    pass


class MyCore(botocore.session.Session):
    pass


class MyLoader(Loader):
    pass


UNUSUAL = {
    "a session class": MySession,
    "a core class": lambda: boto3.session.Session(botocore_session=MyCore()),
    "a loader class": lambda: with_loader(MyLoader()),
    "a file loader": lambda: with_loader(Loader(file_loader=PlainFiles())),
    "a kind of extras": lambda: with_loader(Loader(include_default_extras=False)),
    "no session": object,
}


@pytest.mark.parametrize("unusual", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_session_is_used_as_it_is(aws_env, unusual):
    session = unusual()
    assert reading_plainly(session) is session


PATCHED = [
    (boto3.session.Session, "client"),
    (botocore.session.Session, "create_client"),
    (botocore.session.Session, "get_component"),
    (Loader, "load_service_model"),
    (JSONFileLoader, "load_file"),
]


@pytest.mark.parametrize(("cls", "method"), PATCHED)
def test_a_patched_part_is_used(session, cls, method):
    original = getattr(cls, method)
    calls = []

    @wraps(original)
    def patched(self, *args, **kwargs):
        calls.append(args)
        return original(self, *args, **kwargs)

    with patch.object(cls, method, patched):
        assert reading_plainly(session) is session
        rddb.client("dynamodb", session=session)
    assert calls


def test_a_method_that_was_put_into_the_session_is_used(session):
    session.client = session.client
    assert reading_plainly(session) is session


def test_another_session_reads_no_file_again(session, monkeypatch):
    rddb.client("dynamodb", session=session)
    read = []
    original = PlainFiles.load_file

    def load_file(self, path):
        found = original(self, path)
        read.append(found)
        return found

    monkeypatch.setattr(PlainFiles, "load_file", load_file)
    rddb.client("dynamodb", session=with_loader(create_loader()))
    assert not any(read)  # some files are looked for each time, and are not there
