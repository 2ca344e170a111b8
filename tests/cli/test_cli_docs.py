"""The commands of docs/bulk-load.rst do what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore import session as botocore_session
from botocore.validate import validate_parameters

import resilient_ddb

ROOT = Path(resilient_ddb.__file__).parent.parent
PAGE = (ROOT / "docs" / "bulk-load.rst").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"\.\. code-block:: shell\n\n((?:    .*\n|\n)+)", PAGE)
    for line in block.splitlines()
    if line.strip()
]
REGION = "eu-west-1"


@pytest.fixture
def shell(dynamodb_local, tmp_path):
    """Return a function that runs a command of the page against tables of DynamoDB Local."""
    client = boto3.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url, region_name=REGION)
    for name in ("orders", "orders-copy"):
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps({"id": f"j-{n}"}) + "\n" for n in range(30)))
    (tmp_path / "orders.csv").write_text('id,zip,price,tags\nc-1,01234,9.5,"[""a""]"\n')
    environment = {"PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_local.endpoint_url}

    def run(command):
        command = command.replace("http://127.0.0.1:8000", dynamodb_local.endpoint_url)
        return subprocess.run(  # noqa: S603  # commands of our own page
            [
                shutil.which("bash"),
                "-euo",
                "pipefail",
                "-c",
                f'resilient-ddb() {{ "{sys.executable}" -m resilient_ddb "$@"; }}\n{command}',
            ],
            cwd=tmp_path,
            env=os.environ | environment | {"AWS_DEFAULT_REGION": REGION},
            capture_output=True,
            text=True,
            check=False,
        )

    run.stored = lambda name: client.scan(TableName=name)["Items"]
    yield run
    for name in ("orders", "orders-copy"):
        client.delete_table(TableName=name)
    client.close()


def test_the_commands_run_in_order(shell, tmp_path):
    assert len(COMMANDS) > 5
    for command in COMMANDS:
        done = shell(command)
        assert done.returncode == 0, (command, done.stderr)
    assert len((tmp_path / "backup.jsonl").read_text().splitlines()) == 30
    assert {item["id"]["S"] for item in shell.stored("orders")} == {f"j-{n}" for n in range(30)} | {"c-1"}
    key = lambda item: item["id"]["S"]  # noqa: E731
    assert sorted(shell.stored("orders-copy"), key=key) == sorted(shell.stored("orders"), key=key)


def test_the_parameters_of_start_bulk_put_items_are_aws_own():
    session = botocore_session.get_session()
    model = session.get_service_model("dynamodb")
    if "StartBulkPutItems" not in model.operation_names:
        pytest.skip("an older botocore")
    [call] = re.findall(r"client\.start_bulk_put_items\((.*?)\n    \)\n", PAGE, re.DOTALL)
    params = eval(f"dict({call})")  # noqa: S307  # our own page
    shape = model.operation_model("StartBulkPutItems").input_shape
    validate_parameters(params, shape)
    assert set(params) <= set(shape.members)
    assert shape.members["MaxWriteRequestUnits"].metadata["min"] == 1024
