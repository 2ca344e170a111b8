"""moto's in-process mock answers sync clients only: the error that aiobotocore raises says what to do."""

import pytest
from aio_support import ACCESS
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from shortcut_clients import Raw

from resilient_ddb import aio

KEY = {"pk": "a"}
SAID = (
    r"can't be awaited; run moto as a server \(moto\.server\.ThreadedMotoServer\) and give its address as endpoint_url"
)


async def test_the_type_error_says_what_to_do(moto_aws):
    async with aio.table("t", **ACCESS) as table:
        with pytest.raises(TypeError, match=SAID):
            await table.get_item(Key=KEY)


async def test_so_does_that_of_any_other_sync_answer():
    async with aio.client("dynamodb", **ACCESS) as client:
        answer = AWSResponse("http://127.0.0.1", 200, {}, Raw(b"{}"))
        client.meta.events.register("before-send.dynamodb", lambda **_: answer)
        with pytest.raises(TypeError, match=SAID):
            await client.list_tables()


async def test_another_type_error_stays_as_it_is(moto_server):
    async with aio.table("t", endpoint_url=moto_server.endpoint_url, **ACCESS) as table:
        with pytest.raises(TypeError) as caught:
            await table.put_item(Item={**KEY, "f": 0.5})
        assert "moto" not in str(caught.value)
        with pytest.raises(ClientError):
            await table.get_item(Key=KEY)
