"""JSON of every kind that the codec is compared on.

It is drawn as a tree that can say what Python's dict can't: a key twice, or a token that is no JSON at all.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache

from codec_support import MODEL, changed, octets, short_texts, typed
from hypothesis import strategies as st


class Token(str):
    """What is written as it stands."""

    __slots__ = ()


class Members(list):
    """An object: a list of pairs, each a list too."""

    is_object = True

    @classmethod
    def of(cls, value):
        """Return a tree for a value, bytes in base64."""
        if isinstance(value, Mapping):
            return cls([name, cls.of(inner)] for name, inner in value.items())
        if isinstance(value, list):
            return [cls.of(inner) for inner in value]
        return b64encode(value).decode() if isinstance(value, bytes) else value


def _all_escaped(text):
    return '"' + "".join(f"\\u{ord(letter):04x}" if ord(letter) < 2**16 else letter for letter in text) + '"'


STRINGS = {"plain": lambda text: json.dumps(text, ensure_ascii=False), "escaped": json.dumps, "all": _all_escaped}


def written(tree, strings=json.dumps, space=""):
    """Write a tree."""
    if isinstance(tree, Token):
        return tree
    if isinstance(tree, Members):
        inner = [f"{space}{strings(name)}{space}:{space}{written(value, strings, space)}" for name, value in tree]
        return "{" + ",".join(inner) + space + "}"
    if isinstance(tree, list | tuple):
        return "[" + f"{space},".join(space + written(value, strings, space) for value in tree) + space + "]"
    return strings(tree) if isinstance(tree, str) else json.dumps(tree)


@st.composite
def bodies(draw, trees):
    """Draw the body of a response with such a tree, in any style of writing."""
    strings = STRINGS[draw(st.sampled_from(list(STRINGS)))]
    space = draw(st.sampled_from(["", " ", "\r\n\t "]))
    return written(draw(trees), strings, space).encode("utf-8", "surrogatepass")


# What DynamoDB sends.


def _scalar(shape):
    if "enum" in shape.metadata:
        return st.sampled_from(shape.metadata["enum"])
    return {
        "string": short_texts,
        "boolean": st.booleans(),
        "blob": octets.map(lambda found: b64encode(found).decode()),
        "timestamp": st.integers(0, 2 * 10**12).map(lambda milliseconds: milliseconds / 1000),
        "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 10**6),
        "float": st.floats(allow_nan=False, allow_infinity=False),
    }.get(shape.type_name, st.integers(-(2**63), 2**63 - 1))


def _members(found):
    return Members(map(list, found.items()))


@cache
def wire(name):
    """Draw what DynamoDB might send for a shape: everything in place, nothing unknown."""
    shape = MODEL.shape_for(name)
    if name == "AttributeValue":
        return typed.map(Members.of)
    if shape.type_name == "structure":
        members = {member: wire(inner.name) for member, inner in shape.members.items()}
        return st.fixed_dictionaries({}, optional=members).map(_members)
    if shape.type_name == "map":
        return st.dictionaries(short_texts, wire(shape.value.name), max_size=3).map(_members)
    if shape.type_name == "list":
        return st.lists(wire(shape.member.name), max_size=3)
    return _scalar(shape)


# What it doesn't.

ODD_TOKENS = [
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "-0.0", "1E5", "01", "1.", "tru", "", "9" * 20),
    *("9" * 400, "-" + "9" * 25, "9" * 5000, '"\n"', '"\x01"', '"\x7f"', '"\\ud800"', '"\\udc00x"', '"\\x"', "'a'"),
    *('"\\ud83d\\ude00"', '"\ud800"', '"\\/"', "/**/1", "[1,]", '{"a":1,}', '{"S":"\\ud800"}', '{"\\ud800":"x"}'),
]
ARABIC_ONE = "\u0661"
ODD_JSON = [
    *(None, True, 0, -1, 1.5, "", "x", "AA==", "NaN", [], [None], [1], ["a", None], [[]], {}, {"a": None}, {"X": "y"}),
    *({"S": value} for value in (None, 5, [], {"a": 1})),
    *({"N": value} for value in (None, 5, 1.5, True, [], "", " 1 ", "x", "1_0", "NaN", "sNaN", "Infinity", "1" * 39)),
    *({"N": value} for value in ("0E-200", "1E+126", "1E-131", "-0", ARABIC_ONE)),
    *({"BOOL": value} for value in (None, "x", 0)),
    *({"NULL": value} for value in (None, False, "x")),
    *({"SS": value} for value in (None, [], [None], "abc", {"a": 1}, ["a", "a"], [1, True], [["a"]])),
    *(
        {"NS": value}
        for value in (None, [], [None], "12", {"1": 1}, ["1", "1.0"], [1], ["NaN", "NaN"], ["x"], ["1" * 39])
    ),
    *({"BS": value} for value in (None, [], [None], "abcd", {"AA==": 1}, ["AA==", "AA=="], ["a"], [1])),
    *({"B": value} for value in (None, "", "a", "AAA", "A A==", "\xe9", "AA==AA==", "_-==", 5, [], "AA==\n")),
    *({"L": value} for value in (None, {}, "ab", "", [None], [{}], {"a": 1}, [{"S": "a"}, {}], 5)),
    *({"M": value} for value in (None, [], "ab", "", {"a": None}, {"a": {}}, {"a": "S"}, 5)),
    *({"S": "a", "N": "1"}, {"N": "1", "S": "a"}, {"S": None, "N": "1"}, {"S": "a", "X": 1}, {"X": 1, "S": "a"}),
    *({"s": "a"}, {"SDK_UNKNOWN_MEMBER": {"name": "S"}}, {"__type": "x", "S": "a"}, {"Value": {"S": "a"}}),
]
odd_json = st.sampled_from(list(map(Members.of, ODD_JSON)))
odd_tokens = st.sampled_from(list(map(Token, ODD_TOKENS)))


def _can_be_read(tree):
    try:
        json.loads(written(tree, STRINGS["plain"]).encode())
    except ValueError:  # of the encoding too
        return False
    return True


def _with_a_say(tree):
    """Take damage out of members that later ones of the same name override: a test of its own is on these."""
    if isinstance(tree, Members):
        for place, (name, value) in enumerate(tree):
            if any(name == later for later, _ in tree[place + 1 :]) and not _can_be_read(value):
                tree[place][1] = None
    return tree


def odd_bodies(name):
    """Draw a body that is not quite what DynamoDB might send for a shape."""
    return bodies(changed(wire(name), odd_json | odd_json | odd_tokens).map(_with_a_say))


DAMAGES = {
    "none": lambda body, at: body,
    "cut": lambda body, at: body[:at],
    "empty": lambda body, at: b"",
    "mark": lambda body, at: b"\xef\xbb\xbf" + body,
    "blanks": lambda body, at: b" \n" + body + b"\r\n\t ",
    "trailing": lambda body, at: body + b"}",
    "zero": lambda body, at: body + b"\x00",
    "form feed": lambda body, at: b"\x0c" + body,
    "twice": lambda body, at: body + body,
    "octet": lambda body, at: body[:at] + b"\xff" + body[at:],
    "bit": lambda body, at: body[:at] + bytes(octet ^ 4 for octet in body[at : at + 1]) + body[at + 1 :],
}


@st.composite
def damaged(draw, whole):
    """Draw a body that something has happened to on its way."""
    body = draw(whole)
    return DAMAGES[draw(st.sampled_from(list(DAMAGES)))](body, draw(st.integers(0, len(body))))
