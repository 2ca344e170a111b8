"""The check of sentences sees what is hard to read, and only prose."""

import importlib.util
import re

import pytest
from listed import DOCS

spec = importlib.util.spec_from_file_location("writing_check", DOCS / "writing_check.py")
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

LONG = "one two three four five six seven eight nine ten " * 3
PAGE = f"""
A title that is not a sentence, however long it is, and which nobody has to read twice at all
==================================================================================================

Short. {LONG.strip().capitalize()}.
A line more.

.. code-block:: python

    print("{LONG}")

- An item of ``rddb.resource("dynamodb", policy=policy)``,
  on two lines. See :doc:`a page <lost-replies>`.

.. list-table::

    * - A cell. It is in vain
      - Another
"""


def test_paragraphs_are_prose_with_the_line_on_which_they_begin():
    assert [(line, text[:12]) for line, text in check.paragraphs(PAGE)] == [
        (5, "Short. One t"),
        (12, "An item of `"),
        (17, "A cell. It i"),
        (18, "- Another"[2:]),
    ]


def test_a_literal_is_one_word_and_a_link_its_text():
    [_, (_, item), *_] = check.paragraphs(PAGE)
    assert check.sentences(item) == ["An item of literal, on two lines.", "See a page."]
    assert list(map(check.count, check.sentences(item))) == [7, 3]


def test_long_sentences_and_words_of_the_list_are_said_with_file_and_line(tmp_path, capsys):
    path = tmp_path / "page.rst"
    path.write_text(PAGE)
    check.main([str(path)])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("page.rst:")[2].rpartition(": ")[0] for line in said[:-1]] == [
        "5: 30 words",
        '17: "in vain"',
    ]
    assert re.fullmatch(r"pages: 6 sentences, median 3 words, 95th percentile \d+, 16.7% over 28", said[-1])


PROGRAM = f'''
"""A module.

    code = "{LONG}"

Prose again.
"""

NAME = 1
"""What a name means."""


def function(number):
    """Return what it does.

    Args:
        number: of one thing,
            on two lines.
        other: {LONG.strip()}.
    """
    text = "{LONG}"
'''


def test_docstrings_are_read_without_code_and_argument_by_argument(tmp_path, capsys):
    assert [(line, text[:22]) for line, text in check.docstrings(PROGRAM)] == [
        (2, "A module."),
        (6, "Prose again."),
        (10, "What a name means."),
        (14, "Return what it does."),
        (17, "number: of one thing, "),
        (19, "other: one two three f"),
    ]
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    check.main([str(path)])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("program.py:")[2][:12] for line in said[:-1]] == ["19: 31 words"]
    assert said[-1].startswith("docstrings: 6 sentences")


def test_a_name_in_small_letters_begins_a_sentence_too():
    assert check.sentences("It takes boto3 1.44. botocore is older.") == ["It takes boto3 1.44.", "botocore is older."]


def test_code_in_markdown_is_no_prose():
    assert list(check.paragraphs("Text.\n\n```shell\nnot this\n```\n\nMore.\n")) == [(1, "Text."), (7, "More.")]


def titles_and_paragraphs():
    """Return what the pages say, without their code."""
    for path in (*DOCS.glob("*.rst"), *DOCS.glob("*.md")):
        text = path.read_text("utf-8")
        yield from re.findall(r"^(.+)\n[=\-~]{3,}$", text, re.MULTILINE)
        yield from (paragraph for _, paragraph in check.paragraphs(text))


SAID = "\n".join(titles_and_paragraphs()).lower()
WORDS = "Celery, DAX, Django, Docker, FastAPI, Flask, Lambda, OpenTelemetry, Powertools, Prometheus, SQS, Streams, TTL"
PHRASES = "health check, hot partition, idempotency, migration, rate limit, retry budget, write sharding"


@pytest.mark.parametrize("words", [*WORDS.split(", "), *PHRASES.split(", ")])
def test_a_search_finds_the_words_of_the_field(words):
    assert re.search(rf"\b{words.lower()}\b", SAID)


def test_a_search_does_not_find_what_stands_in_code_only():
    assert "``rddb" in SAID
    assert "fakeclock()" not in SAID
