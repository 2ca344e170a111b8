"""A pickled async Table: its recipe is whole, config included, and has no credentials."""

import pickle

import pytest
from aio_support import ACCESS
from aiobotocore.config import AioConfig
from botocore.config import Config
from sdk_support import trusted_by

from resilient_ddb import aio

HIDDEN = {**ACCESS, "aws_secret_access_key": "THE SECRET"}
URL = "http://127.0.0.1:9"
OPTIONS = {
    "connect_timeout": 7,
    "read_timeout": 20,
    "max_pool_connections": 3,
    "retries": {"total_max_attempts": 3, "mode": "standard"},
    "proxies": {"http": "http://127.0.0.1:8"},
    "user_agent_extra": "shop/1",
    "connector_args": {"keepalive_timeout": 3},
}


def restored(table):
    text = pickle.dumps(table)
    assert b"THE SECRET" not in text
    return pickle.loads(text)  # noqa: S301 - our own


async def config_of(table):
    client = table.meta.client
    return (await client.current("GetItem") if hasattr(client, "current") else client).meta.config


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("made", ["module table", "resource"])
async def test_each_option_of_the_config_is_kept(made, option, hardened):
    cls = AioConfig if option == "connector_args" else Config
    config = cls(**{option: OPTIONS[option]})
    if made == "resource":
        table = await (await hardened(URL, config=config, aws_secret_access_key="THE SECRET")).Table("t")
    else:
        table = aio.table("t", endpoint_url=URL, config=config, **HIDDEN)
    async with table, restored(table) as once, restored(once) as twice:
        wanted = await config_of(table)
        for back in (once, twice):
            found = await config_of(back)
            assert getattr(found, option) == OPTIONS[option]
            assert found.user_agent.count("botocore/") == wanted.user_agent.count("botocore/")
            assert (found.connect_timeout, found.read_timeout) == (wanted.connect_timeout, wanted.read_timeout)


@pytest.mark.parametrize("made", ["module table", "resource"])
async def test_which_certificates_are_trusted_is_kept(made, hardened):
    if made == "resource":
        table = await (await hardened(URL, verify=False, aws_secret_access_key="THE SECRET")).Table("t")
    else:
        table = aio.table("t", endpoint_url=URL, verify=False, **HIDDEN)
    async with table, restored(table) as once, restored(once) as twice:
        for back in (table, once, twice):
            client = back.meta.client
            opened = await client.current("GetItem") if hasattr(client, "current") else client
            assert trusted_by(opened) is False
