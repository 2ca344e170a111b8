"""Every example in the README, in the documentation and in examples/ runs."""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers import markdown, rest

from resilient_ddb.testing import FakeClock

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"docs/spark.rst"}  # tests/spark runs it, where there is Spark
PAGES = sorted(
    {path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.rst")]} - ELSEWHERE
)
PROGRAMS = sorted(path.name for path in ROOT.glob("examples/*.py"))
FRAMEWORKS = {
    "celery_tasks.py": "celery",
    "django_service.py": "django",
    "fastapi_service.py": "fastapi",
    "flask_service.py": "flask",
    "powertools_idempotency.py": "aws_lambda_powertools",
}
PARSERS = {
    ".md": (markdown.PythonCodeBlockParser(), markdown.SkipParser()),
    ".rst": (rest.PythonCodeBlockParser(), rest.DocTestParser(), rest.SkipParser()),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_in_order(page, dynamodb_for_docs):
    path = ROOT / page
    document = Document.parse(str(path), *PARSERS[path.suffix])
    document.namespace.update(__name__="__page__", endpoint_url=dynamodb_for_docs, FakeClock=FakeClock)
    for example in document.examples():
        try:
            example.evaluate()
        except Exception as error:
            error.add_note(f"{page}, line {example.line}")
            raise


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "faults_in_tests.py"])
def test_a_program_runs(program, dynamodb_for_docs, capsys):  # the programs find it by themselves
    if importlib.util.find_spec(FRAMEWORKS.get(program, "resilient_ddb")) is None:
        pytest.skip(f"needs {FRAMEWORKS[program]}")
    path = str(ROOT / "examples" / program)
    if program == "django_service.py":  # its settings hold for a process, and another test may have set them
        assert subprocess.run([sys.executable, path], capture_output=True, check=True, timeout=60).stdout  # noqa: S603 - our own
        return
    runpy.run_path(path, run_name="__main__")
    assert capsys.readouterr().out


def test_the_counter_counts_each_visit_once(dynamodb_local, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    runpy.run_path(str(ROOT / "examples" / "count_once.py"), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == ["home: True old: False", "visits: 2"]


def test_the_example_of_a_users_tests_passes(dynamodb_for_docs):  # as above
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "examples/faults_in_tests.py"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own file
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_there_is_something_to_run():
    assert len(PAGES) > 10
    assert len(PROGRAMS) >= 4
