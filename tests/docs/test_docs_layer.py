"""The script that builds a Lambda layer: what it leaves out, its bytecode, and its zip. Nothing is installed here."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_layer", ROOT / "examples" / "lambda_layer" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """Return what pip would have installed: a package, and botocore's models."""
    for path, text in {
        "package/__init__.py": "ANSWER = 42\n",
        "botocore/data/dynamodb/service-2.json": "{}",
        "botocore/data/s3/service-2.json": "{}",
        "botocore/data/sts/service-2.json": "{}",
        "botocore/data/endpoints.json": "{}",
        "boto3/data/s3/resources-1.json": "{}",
    }.items():
        file = tmp_path / "python" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "python"


def names(layer):
    with zipfile.ZipFile(layer) as archive:
        return {name.removeprefix("python/") for name in archive.namelist()}


def test_models_of_other_services_are_left_out(build, folder, tmp_path):
    build.drop_other_services(folder)
    build.pack(folder, tmp_path / "layer.zip")
    assert names(tmp_path / "layer.zip") == {
        "package/__init__.py",
        "botocore/data/dynamodb/service-2.json",
        "botocore/data/sts/service-2.json",
        "botocore/data/endpoints.json",
    }


def test_the_bytecode_is_used_whatever_the_time_of_the_source(build, folder, tmp_path):
    build.compile_all(folder)
    build.pack(folder, tmp_path / "layer.zip")
    with zipfile.ZipFile(tmp_path / "layer.zip") as archive:
        archive.extractall(tmp_path / "opt")  # which gives every file the time of now
    source = tmp_path / "opt" / "python" / "package" / "__init__.py"
    source.write_text("ANSWER = 'compiled anew'\n")
    program = "import package; print(package.ANSWER)"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], cwd=source.parents[1], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "42\n"


def test_the_same_files_make_the_same_zip(build, folder, tmp_path):
    build.pack(folder, tmp_path / "one.zip")
    for path in folder.rglob("*.py"):
        path.touch()
    build.pack(folder, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_it_tells_the_sizes(build, folder, tmp_path):
    build.compile_all(folder)
    build.pack(folder, tmp_path / "layer.zip")
    told = build.tell(folder, tmp_path / "layer.zip")
    assert "MB unpacked" in told
    assert build.size(folder, ".pyc") > 0
