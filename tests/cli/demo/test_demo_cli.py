import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

import resilient_ddb
from resilient_ddb import cli

ROOT = Path(resilient_ddb.__file__).parent.parent
QUICK = ("--records", "120", "--seed", "5")


def run_program(*arguments, cwd, timeout=150):
    return subprocess.run(  # noqa: S603  # this interpreter, and this package
        [sys.executable, "-m", "resilient_ddb", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def check_result(code, out, err, report):
    assert (code, err) == (0, "")
    assert f"boto3 {boto3.__version__}" in out
    rows = {line[:40].strip(): line[40:].split() for line in out.splitlines()}
    written, *of_all = rows["rows written"][-3:]
    assert of_all == ["of", "120"]
    failed = int(rows["rows failed with an error"][-1])  # some do on a machine that stands still for long
    assert 0 < int(written) == 120 - failed
    for harm in ("rows lost", "counted twice", "answered, but not counted", "'not found' of a row that is there"):
        assert rows[harm][-1] == "0", harm
    assert int(rows["requests sent"][-1].replace(",", "")) > 0
    assert "resilient_ddb was wrong 0 times." in out
    html = report.read_text(encoding="utf-8")
    assert "<h1>boto3 was wrong " in html
    assert html.count('class="timeline wide"') == 1
    assert "Outage(start=" in html


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("quick_probe")
def test_the_demo_runs_whole_and_leaves_a_report(tmp_path, capsys, monkeypatch):
    for module in ("scenario", "pace"):  # half as many calls: each costs most of its time in the emulator
        monkeypatch.setattr(f"resilient_ddb.cli.demo.{module}.CALLS_PER_SECOND", 50.0)
    report = tmp_path / "report.html"
    code = cli.main(["demo", *QUICK, "--report", str(report)])
    out, err = capsys.readouterr()
    assert f"Report: {report} " in out
    check_result(code, out, err, report)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_program_uses_another_endpoint_and_leaves_no_table_there(tmp_path, moto_server):
    with_tables = moto_server.client()
    before = with_tables.list_tables()["TableNames"]
    finished = run_program("demo", *QUICK, "--endpoint-url", moto_server.endpoint_url, cwd=tmp_path)
    report = Path("resilient-ddb-demo.html")
    assert f"Report: {report} " in finished.stdout
    check_result(finished.returncode, finished.stdout, finished.stderr, tmp_path / report)
    assert moto_server.endpoint_url in finished.stdout
    assert with_tables.list_tables()["TableNames"] == before
    with_tables.close()


def test_an_endpoint_that_does_not_answer_is_said_in_one_line(tmp_path):
    finished = run_program("demo", "--records", "5", "--endpoint-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert finished.returncode == 1
    assert finished.stderr.startswith("resilient-ddb: error: http://127.0.0.1:9 does not answer")
    assert finished.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_importing_the_command_imports_nothing_of_the_demo(tmp_path):
    code = (
        "import sys, resilient_ddb.cli\n"
        "print({'rich', 'moto', 'flask', 'vega_datasets', 'pandas', 'resilient_ddb.cli.demo'} & set(sys.modules))"
    )
    finished = subprocess.run(  # noqa: S603  # this interpreter, and this code
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == "set()\n"


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch, capsys):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "moto" else object())
    assert cli.main(["demo"]) == 1
    said = capsys.readouterr()
    assert said.err == "resilient-ddb: error: the demo needs moto: pip install 'resilient_ddb[demo]'\n"


def test_an_emulator_that_does_not_start_is_said_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("resilient_ddb.cli.demo.run.running_emulator", _broken_emulator)
    assert cli.main(["demo", "--records", "5", "--report", str(tmp_path / "report.html")]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("resilient-ddb: error: the embedded emulator (moto's server) did not start:")
    assert "No such file" in said.err
    assert said.err.count("\n") == 1


def _broken_emulator():
    from resilient_ddb.cli.demo.emulator import running_emulator  # noqa: PLC0415 - the real one

    return running_emulator(Path("not_there.py"))


def test_a_report_that_cannot_be_written_is_said_before_the_work(capsys, tmp_path):
    assert cli.main(["demo", "--report", str(tmp_path / "missing" / "report.html")]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupt(_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("resilient_ddb.cli.demo.run.run_demo", interrupt)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "resilient-ddb: interrupted\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "--records", "0"],
        ["demo", "--records", "many"],
        ["demo", "--seed", "x"],
        ["demo", "--endpoint-url", "localhost:8000"],
        ["demo", "--endpoint-url", "https://dynamodb.eu-west-1.amazonaws.com"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "text"), [("--version", resilient_ddb.__version__), ("--help", "demo")])
def test_version_and_help(option, text, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([option])
    assert ended.value.code == 0
    assert text in capsys.readouterr().out


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 0
    assert "usage: resilient-ddb" in capsys.readouterr().out
