"""A pickled Table: its recipe is whole, config included, and has no credentials."""

import pickle
from unittest import mock

import boto3
import pytest
from botocore.args import EndpointCreator
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from emulators import CREDENTIALS, REGION
from sdk_support import trusted_by
from shortcut_clients import Wired

import resilient_ddb as rddb

ACCESS = {"region_name": REGION, **CREDENTIALS, "aws_secret_access_key": "THE SECRET"}
URL = "http://127.0.0.1:9"
OPTIONS = {
    "connect_timeout": 7,
    "read_timeout": 20,
    "max_pool_connections": 3,
    "retries": {"total_max_attempts": 3, "mode": "standard"},
    "proxies": {"http": "http://127.0.0.1:8"},
    "tcp_keepalive": True,
    "user_agent_extra": "shop/1",
    "user_agent_appid": "shop",
    "inject_host_prefix": False,
    "account_id_endpoint_mode": "disabled",
    "disable_request_compression": True,
    "signature_version": "v4",
}
MADE = {
    "table": lambda config=None, **more: rddb.table("t", endpoint_url=URL, config=config, **ACCESS, **more),
    "resource": lambda config=None, **more: rddb.resource(
        "dynamodb", endpoint_url=URL, config=config, **ACCESS, **more
    ).Table("t"),
    "installed": lambda config=None, **more: rddb.harden(
        boto3.resource("dynamodb", endpoint_url=URL, config=config, **ACCESS, **more)
    ).Table("t"),
    "with options": lambda config=None, **more: rddb.table(
        "t", endpoint_url=URL, config=config, ttl="expires_at", **ACCESS, **more
    ),
}


def restored(table):
    text = pickle.dumps(table)
    assert b"THE SECRET" not in text
    return pickle.loads(text)  # noqa: S301 - our own


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("made", MADE)
def test_each_option_of_the_config_is_kept(made, option):
    table = MADE[made](Config(**{option: OPTIONS[option]}))
    once = restored(table)
    twice = restored(once)
    wanted = vars(table.meta.client.meta.config)
    for back in (once, twice):
        found = vars(back.meta.client.meta.config)
        assert getattr(back.meta.client.meta.config, option) == OPTIONS[option]
        assert found["user_agent"].count("Botocore/") == wanted["user_agent"].count("Botocore/")
        assert (found["connect_timeout"], found["read_timeout"]) == (wanted["connect_timeout"], wanted["read_timeout"])
        assert rddb.status(back).policy.retry == rddb.status(table).policy.retry


@pytest.mark.parametrize("made", [made for made in MADE if made != "installed"])
def test_parameters_that_are_not_validated_are_not_in_the_other_process_either(made):
    table = MADE[made](Config(parameter_validation=False))
    raised, again = (Wired(each.meta.client).call("ListTables", Nonsense=1) for each in (table, restored(table)))
    assert raised == again
    assert raised[0] == "KeyError"  # of botocore's serializer, not a ParamValidationError


@pytest.mark.parametrize("made", MADE)
def test_which_certificates_are_trusted_is_kept(made, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    for told in (False, str(bundle)):
        for back in (once := restored(MADE[made](verify=told)), restored(once)):
            assert trusted_by(back.meta.client) == told


@pytest.mark.parametrize("made", [made for made in MADE if made != "installed"])
def test_what_the_environment_trusts_is_asked_again_in_the_other_process(made, tmp_path, monkeypatch):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    text = pickle.dumps(MADE[made]())
    monkeypatch.delenv("AWS_CA_BUNDLE")
    assert trusted_by(pickle.loads(text).meta.client) is True  # noqa: S301 - our own


def test_a_replica_trusts_the_same_certificates():
    fallback = rddb.fallback.replica("us-west-2", endpoint_url="https://127.0.0.1:9")
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=1), fallback=fallback)
    table = rddb.table("t", endpoint_url=URL, verify=False, policy=policy, **ACCESS)
    making = mock.patch.object(EndpointCreator, "create_endpoint", autospec=True, side_effect=RuntimeError)
    with making as create, pytest.raises(EndpointConnectionError):
        table.get_item(Key={"pk": "a"})
    assert create.call_args.kwargs["verify"] is False
