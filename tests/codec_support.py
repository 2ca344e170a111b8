"""Values of every kind that the codec is compared on, and how boto3 itself takes them."""

from __future__ import annotations

import copy
import enum
import importlib.util
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

import botocore.parsers
import botocore.session
from boto3.dynamodb.transform import TransformationInjector
from boto3.dynamodb.types import Binary
from hypothesis import strategies as st

from resilient_ddb.codec.engine import StandardLibrary

MODEL = botocore.session.get_session().get_service_model("dynamodb")
OPERATIONS = {name: MODEL.operation_model(name) for name in MODEL.operation_names}
ENGINES = {"standard library": StandardLibrary()}
if importlib.util.find_spec("msgspec") is not None:
    from resilient_ddb.codec.engine import Msgspec

    ENGINES["msgspec"] = Msgspec()
INJECTOR = TransformationInjector()
PARSER = botocore.parsers.create_parser("json")


def has_values(shape) -> bool:
    """Return whether there are attribute values in what has this shape."""
    if shape.name == "AttributeValue":
        return True
    if shape.type_name == "structure":
        return any(map(has_values, shape.members.values()))
    return shape.type_name in ("map", "list") and has_values(shape.value if shape.type_name == "map" else shape.member)


# Comparing.


def exactly(value):
    """Return a value in a form that is equal for the same types, digits and order only."""
    if isinstance(value, Mapping):
        form = tuple((exactly(key), exactly(inner)) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        form = tuple(map(exactly, value))
    elif isinstance(value, set | frozenset):
        form = frozenset(map(exactly, value))
    elif isinstance(value, Binary):
        form = exactly(value.value)
    elif isinstance(value, bytearray):
        form = bytes(value)
    elif isinstance(value, Decimal | float):
        form = str(value)
    else:
        form = value
    return type(value), form


def fresh(value):
    """Return a copy whose sets are the original's: a set's copy may have an order of its own."""
    if isinstance(value, Mapping):
        return type(value)({key: fresh(inner) for key, inner in value.items()})
    return type(value)(map(fresh, value)) if isinstance(value, list | tuple) else value


def outcome(call, *arguments):
    """Return what a call returned or raised, in a form to compare."""
    try:
        return "gave", exactly(call(*arguments))
    except Exception as error:  # noqa: BLE001 - whatever the one raises, the other has to raise too
        return "raised", type(error), str(error)


def boto3_reads(text, operation, *, native):
    """Return what botocore's parser, and for native values boto3, make of the body of a good response."""
    response = {"status_code": 200, "headers": {}, "body": text}
    parsed = PARSER.parse(response, operation.output_shape)
    del parsed["ResponseMetadata"]
    if native:
        INJECTOR.inject_attribute_value_output(parsed, operation)
    return parsed


# Native values.


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Dictionary(dict):
    pass


class Listing(list):
    pass


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10**15


class Mood(enum.StrEnum):
    FINE = "fine"
    EMPTY = ""


class Frozen(Mapping):
    """A mapping that is no dict, and can't be changed."""

    def __init__(self, inner):
        self._inner = dict(inner)

    def __getitem__(self, key):
        return self._inner[key]

    def __iter__(self):
        return iter(self._inner)

    def __len__(self):
        return len(self._inner)

    def __repr__(self):
        return f"Frozen({self._inner})"


ODD_DECIMALS = [
    *("NaN", "-NaN", "NaN123", "sNaN", "Infinity", "-Infinity", "0", "-0", "-0.0", "0E-200", "0E+200", "0E-165"),
    *("1E-130", "1E-128", "1E-129", "1E-165", "1E+125", "1E+126", "1E+127", "9.9E+125", "-9.9E+126", "1.50", "1E+3"),
    *("1" * 38, "1" * 39, "1" * 38 + "0", "0." + "1" * 38, "0." + "1" * 39, "1." + "0" * 40, "-" + "9" * 39),
]
ODD_INTEGERS = [
    *(10**15 - 1, 10**15, -(10**15), 1 - 10**15, 10**37, 10**38 - 1, 10**38, 10**38 + 1, 10**39, -(10**38)),
    *(10**126, 10**127, 10**400),
]
decimals = st.sampled_from(ODD_DECIMALS).map(Decimal) | st.decimals(allow_nan=True, allow_infinity=True)
hashable_decimals = decimals.filter(lambda number: not number.is_snan())
integers = st.integers() | st.sampled_from(ODD_INTEGERS)
texts = st.text(max_size=5) | st.sampled_from(["", "\ud800", "a\udfffb", "\x00", "\U0001f600"])
octets = st.binary(max_size=4)
binaries = octets | octets.map(Binary)
scalars = st.none() | st.booleans() | integers | decimals | texts | binaries
odd_scalars = octets.map(bytearray) | st.sampled_from(
    [1.5, float("nan"), Text("t"), Whole(5), Whole(10**16), Level.LOW, Level.HIGH, Mood.FINE, Mood.EMPTY, object, ...]
)
hashables = st.one_of(
    *(st.none(), st.booleans(), integers, hashable_decimals, texts, binaries),
    st.sampled_from([1.5, Text("t"), Mood.FINE, Level.LOW, ("a", 1), Decimal("1.0")]),
)
sets = st.one_of(
    *(st.sets(kind, max_size=3) for kind in (texts, integers, integers | hashable_decimals, binaries, hashables)),
    *(st.frozensets(kind, max_size=3) for kind in (texts, integers, binaries)),
)
keys = texts | st.sampled_from([Text("k"), Mood.FINE, 1, None, ("a",), b"k"])


def _containers(inner):
    maps = st.dictionaries(keys, inner, max_size=3)
    lists = st.lists(inner, max_size=3)
    return maps | lists | lists.map(tuple) | lists.map(Listing) | maps.map(Dictionary) | maps.map(Frozen)


natives = st.recursive(scalars | odd_scalars | sets, _containers, max_leaves=6)
"""All that a caller might try."""

short_texts = st.text(max_size=5)
plain_numbers = st.integers(-(10**20), 10**20) | st.sampled_from(["1.50", "-0.001", "1E+3"]).map(Decimal)
plain_sets = st.one_of(*(st.sets(kind, min_size=1, max_size=3) for kind in (short_texts, plain_numbers, octets)))
plain_natives = st.recursive(
    st.one_of(st.none(), st.booleans(), plain_numbers, short_texts, binaries, plain_sets),
    lambda inner: st.dictionaries(short_texts, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)
"""Values as DynamoDB has them."""

number_texts = plain_numbers.map(str)


def _typed(kind, values):
    return values.map(lambda value: {kind: value})


typed = st.recursive(
    st.one_of(
        *(_typed("S", short_texts), _typed("N", number_texts), _typed("B", octets)),
        *(_typed("SS", st.lists(short_texts, max_size=3)), _typed("NS", st.lists(number_texts, max_size=3))),
        *(_typed("BS", st.lists(octets, max_size=3)), _typed("BOOL", st.booleans()), _typed("NULL", st.booleans())),
    ),
    lambda inner: (
        _typed("M", st.dictionaries(short_texts, inner, max_size=3)) | _typed("L", st.lists(inner, max_size=3))
    ),
    max_leaves=6,
)
"""Values in DynamoDB's typed form, as botocore gives and takes them."""


# Parameters.

_VALUES = {"typed": typed, "native": plain_natives, "any": natives}


def is_written_here(shape):
    """Return whether the codec writes what has this shape, at its least."""
    if shape.name == "AttributeValue":
        return True
    if shape.type_name == "structure":
        return all(is_written_here(shape.members[name]) for name in shape.required_members)
    if shape.type_name in ("map", "list"):
        return is_written_here(shape.value if shape.type_name == "map" else shape.member)
    return shape.type_name in ("string", "integer", "long", "boolean")


@cache
def arguments(name, values, *, only_plain=False):
    """Draw parameters that botocore accepts, once their values are typed."""
    shape = MODEL.shape_for(name)
    least = shape.metadata.get("min", 0)
    if name == "AttributeValue":
        return _VALUES[values]
    if shape.type_name == "structure":
        members = {
            member: arguments(inner.name, values, only_plain=only_plain)
            for member, inner in shape.members.items()
            if not only_plain or member in shape.required_members or is_written_here(inner)
        }
        required = {member: members.pop(member) for member in shape.required_members}
        return st.fixed_dictionaries(required, optional=members)
    if shape.type_name == "map":
        inner = arguments(shape.value.name, values, only_plain=only_plain)
        return st.dictionaries(st.text(min_size=1, max_size=5), inner, min_size=least, max_size=max(least, 2))
    if shape.type_name == "list":
        inner = arguments(shape.member.name, values, only_plain=only_plain)
        return st.lists(inner, min_size=least, max_size=max(least, 2))
    return _scalars(shape, least)


def _scalars(shape, least):
    if "enum" in shape.metadata:
        return st.sampled_from(shape.metadata["enum"])
    return {
        "string": short_texts.map(lambda text: text.ljust(least, "x")),
        "boolean": st.booleans(),
        "blob": st.binary(max_size=5),
        "double": st.floats(0, 1),
        "timestamp": st.integers(0, 2 * 10**9),
    }.get(shape.type_name, st.integers(least, least + 10))


def params_of(name, values, **options):
    return arguments(OPERATIONS[name].input_shape.name, values, **options)


odd_arguments = st.sampled_from(
    [
        *(None, True, 0, -1, 5, 10**400, 1.5, "", "a", "\ud800", Text("a"), Mood.FINE, Whole(5), Level.LOW, b"a"),
        *((), ("a",), [], [None], ["a"], Listing(["a"]), {}, {"a": "b"}, {"a": {"S": "b"}}, Dictionary(a=1)),
        *(Frozen({}), bytearray(b"a")),
    ]
)
"""What stands for an argument by mistake."""


def slots(tree):
    """Return every place in a tree of dicts and lists: what holds it, and the key to it there."""
    if isinstance(tree, dict):
        places = [(tree, key) for key in tree]
    elif isinstance(tree, list) and getattr(tree, "is_object", False):
        places = [(pair, 1) for pair in tree]
    elif isinstance(tree, list):
        places = [(tree, index) for index in range(len(tree))]
    else:
        return []
    return places + [slot for holder, key in places for slot in slots(holder[key])]


def _more(value, odd, where):
    """Put something odd into a container, and in the place of what is none."""
    if isinstance(value, dict):
        value[("New", Text("Text"), 1)[where % 3]] = odd
    elif isinstance(value, list):
        names = ["New", "\udc00", *(pair[0] for pair in value)] if getattr(value, "is_object", False) else None
        value.insert(where % (len(value) + 1), [names[where % len(names)], odd] if names else odd)
    else:
        return odd
    return value


def _less(value, odd, where):
    """Take something out of a container."""
    if value and isinstance(value, list):
        del value[where % len(value)]
    elif value and isinstance(value, dict):
        del value[list(value)[where % len(value)]]
    return value


CHANGES = {
    "replaced": lambda value, odd, where: odd,
    "more": _more,
    "less": _less,
    "wrapped": lambda value, odd, where: [value],
    "in a tuple": lambda value, odd, where: tuple(value) if isinstance(value, list) else odd,
    "turned round": lambda value, odd, where: type(value)(reversed(value)) if isinstance(value, list) else odd,
}


@st.composite
def changed(draw, trees, odd, changes=tuple(CHANGES)):
    """Draw a tree that differs in up to three places from one that is in order."""
    holder = [draw(trees)]
    for _ in range(draw(st.integers(0, 3))):
        places = slots(holder)
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        change = CHANGES[draw(st.sampled_from(changes))]
        inside[key] = change(inside[key], copy.deepcopy(draw(odd)), draw(st.integers(0, 9)))
    return holder[0]
