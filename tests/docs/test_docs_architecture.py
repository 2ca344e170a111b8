"""The page on the architecture says what the code says."""

import ast
import re
import sys
import xml.etree.ElementTree as ET

import pytest
from listed import DOCS, literals, tables
from test_rooms import FLOORS, PACKAGE

PAGE = (DOCS / "architecture.rst").read_text()
PLACES = [row for heading, rows in tables("architecture.rst") if heading != "The rooms" for row in rows]


@pytest.fixture(scope="module")
def drawing():
    sys.path.insert(0, str(DOCS))
    try:
        return pytest.importorskip("rooms", reason="needs docutils, which comes with Sphinx")
    finally:
        sys.path.remove(str(DOCS))


def rooms():
    return {room: floor for room, floor in FLOORS.items() if not room.startswith("_")}


def names_in(path):
    """Return what a file defines: classes, functions, methods and constants."""
    tree = ast.parse(path.read_text("utf-8"))
    named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, named)}


def test_the_picture_has_every_room_on_the_floor_that_the_layer_test_gives_it(drawing):
    found = drawing.rooms()
    assert drawing.floors(found) == rooms()
    picture = ET.fromstring(drawing.picture(found))  # noqa: S314 - our own
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert set(texts) == {*rooms(), *map(str, rooms().values())}


def test_the_picture_draws_each_import_that_no_other_one_implies(drawing):
    picture = drawing.picture({"top": {"middle", "ground"}, "middle": {"ground"}, "ground": set()})
    assert picture.count("<line ") == 2


def test_the_picture_has_the_colours_of_the_page(drawing):
    assert set(re.findall(r"(?:fill|stroke): (\w+)", drawing.picture(drawing.rooms()))) == {"currentColor"}


def test_the_table_has_every_room():
    [rows] = [rows for heading, rows in tables("architecture.rst") if heading == "The rooms"]
    assert {literals(room)[0]: int(floor) for room, floor, _ in rows} == rooms()


@pytest.mark.parametrize(("what", "file", "name"), PLACES)
def test_each_place_is_there(what, file, name):
    assert literals(name)[0] in names_in(PACKAGE / literals(file)[0]), what


@pytest.mark.parametrize("path", sorted(set(re.findall(r"``([\w/]+\.(?:py|rst))``", PAGE))))
def test_each_file_that_the_page_names_is_there(path):
    root = PACKAGE.parent
    assert (PACKAGE / path).is_file() or (root / path).is_file()
