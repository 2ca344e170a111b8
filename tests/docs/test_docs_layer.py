"""The script that builds a Lambda layer: what it leaves out, its bytecode, and its zip. Nothing is installed here.

And what its page says of the layers: it is what was recorded.
"""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
from benchmarks import layer, processes

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


RECORDED = json.loads(layer.RECORDING.read_text("utf-8"))


def test_the_page_has_what_was_recorded():
    text = layer.PAGE.read_text("utf-8")
    assert layer.fill(text, RECORDED) == text
    assert [(each["extras"], tuple(each["options"])) for each in RECORDED["layers"]] == list(layer.LAYERS)


def test_the_page_says_other_figures_if_others_are_recorded():
    text = layer.PAGE.read_text("utf-8")
    others = json.loads(json.dumps(RECORDED))
    others["layers"][0] |= {"zipped": 123_456_789, "ratio": 7.0}
    filled = layer.fill(text, others)
    assert "      - 123.5 MB\n      - 7.00 of boto3's\n" in filled
    assert layer.fill(filled, RECORDED) == text


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="has no"):
        layer.fill("text\n", RECORDED)


def test_bytecode_spares_more_than_half_of_the_first_call():
    ratios = {(each["extras"], *each["options"]): each["ratio"] for each in RECORDED["layers"]}
    for extras in ("", "[aio]"):
        assert ratios[(extras,)] < ratios[(extras, "--no-bytecode")] / 2


@pytest.mark.parametrize("kind", ["boto3", "sync", "async"])
def test_a_first_call_is_measured(kind):
    if kind == "async":
        pytest.importorskip("aiobotocore")
    path = os.pathsep.join([str(ROOT), str(Path(boto3.__file__).parents[1])])
    with processes.stub() as url:
        assert layer.first_call(path, kind, url)["first"] > 0
