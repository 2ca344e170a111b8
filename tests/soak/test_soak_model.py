"""The model: it takes whatever a sound client may answer, and finds each thing that a broken one does."""

from __future__ import annotations

import random

import pytest

from .model import Book, Entries, Fault, Ledger, Register, Told

APPLIED, NOT_APPLIED, UNSURE = Told.APPLIED, Told.NOT_APPLIED, Told.UNSURE


class Store:
    """One item of a server that is sound, with a way to the model."""

    def __init__(self):
        self.book = Book()
        self.value = None
        self.register = Register(self.book, "r", lambda: self.value)

    def write(self, told, *, is_applied=True, again=False):
        value = self.register.next_value()
        self.register.began(value)
        if is_applied:
            self.value = value
        self.register.ended([value], told, may_come_again=again)
        return value

    def read(self, found="what is stored"):
        return self.register.read().found(self.value if found == "what is stored" else found, "a read")

    @property
    def faults(self):
        return [finding.fault for finding in self.book.findings]


@pytest.fixture
def store():
    return Store()


def test_a_write_told_as_applied_is_there(store):
    store.write(APPLIED)
    assert store.read()
    assert store.faults == []


def test_an_applied_write_that_is_not_stored_is_lost(store):
    store.write(APPLIED)
    store.write(APPLIED, is_applied=False)
    assert not store.read()
    assert store.faults == [Fault.LOST]
    assert store.read()  # and reported once


def test_an_older_value_than_the_stored_one_is_stale(store):
    old = store.write(APPLIED)
    store.write(APPLIED)
    store.read(old)
    assert store.faults == [Fault.STALE]


def test_an_item_that_is_there_and_not_given_is_wrong(store):
    store.write(APPLIED)
    store.read(None)
    assert store.faults == [Fault.WRONG]


def test_a_value_that_nobody_wrote_is_wrong(store):
    store.write(APPLIED)
    store.read(99)
    assert store.faults == [Fault.WRONG]


def test_a_write_told_as_not_applied_must_not_show(store):
    store.write(APPLIED)
    store.write(NOT_APPLIED)
    store.read()
    assert store.faults == [Fault.WRONG]


def test_a_write_that_a_read_has_shown_must_not_be_told_as_not_applied(store):
    value = store.register.next_value()
    store.register.began(value)
    store.read(value)
    store.register.ended([value], NOT_APPLIED)
    assert store.faults == [Fault.WRONG]


def test_an_unsure_write_may_show_or_not_until_a_read_tells(store):
    old = store.write(APPLIED)
    store.write(UNSURE, is_applied=False)
    store.register.settled()
    assert store.read()
    assert store.register.is_certain
    assert store.register.value == old


def test_an_unsure_write_may_come_later_over_a_newer_one(store):
    late = store.write(UNSURE, is_applied=False)
    store.write(APPLIED)
    assert store.read()
    store.value = late
    assert store.read()
    assert store.faults == []


def test_nothing_comes_later_once_it_is_settled(store):
    late = store.write(UNSURE, is_applied=False)
    store.write(APPLIED)
    store.register.settled()
    assert store.read()
    store.value = late
    store.read()
    assert store.faults == [Fault.LOST]


def test_a_write_that_was_sent_twice_may_come_again(store):
    twice = store.write(APPLIED, again=True)
    store.write(APPLIED)
    store.value = twice
    assert store.read()
    assert not store.register.is_certain


def test_a_read_may_show_what_was_stored_at_any_moment_of_it(store):
    old = store.write(APPLIED)
    reading = store.register.read()
    middle = store.write(APPLIED)
    store.write(APPLIED)
    assert reading.found(middle, "a read")
    reading = store.register.read()
    reading.found(old, "a read")
    assert store.faults == [Fault.STALE]


def test_a_read_that_a_write_overlaps_tells_nothing_of_now(store):
    store.write(UNSURE, is_applied=False)
    reading = store.register.read()
    store.write(APPLIED)
    assert reading.found(None, "a read")
    assert store.read()


def test_of_two_reads_at_once_the_later_answer_may_show_less(store):
    old = store.write(APPLIED)
    new = store.write(UNSURE)
    store.register.settled()
    first, second = store.register.read(), store.register.read()
    assert second.found(new, "a read")
    assert first.found(old, "a read")
    assert store.register.value == new


def test_a_reader_that_sees_less_is_held_against_what_it_sees(store):
    store.write(APPLIED)
    assert store.register.read().found(None, "a read", sees=lambda _: None)
    assert store.register.value == 1


def test_a_stale_answer_that_says_so_may_be_of_any_age(store):
    old = store.write(APPLIED)
    refused = store.write(NOT_APPLIED, is_applied=False)
    store.write(APPLIED)
    assert store.register.found_stale(old, "a read")
    assert store.register.found_stale(None, "a read")
    assert not store.register.found_stale(refused, "a read")


def test_the_writes_of_a_batch_end_together(store):
    first, second = store.register.next_value(), store.register.next_value()
    store.register.began(first)
    store.register.began(second)
    assert store.register.read().found(first, "a read")
    store.register.ended([first, second], APPLIED)
    store.value = first
    store.read()
    assert store.faults == [Fault.LOST]


# Ledgers.


class Sum:
    """One item that many add to."""

    def __init__(self):
        self.book = Book()
        self.names = []
        self.count = 0
        self.ledger = Ledger(self.book, "l", lambda: self.entries)

    @property
    def entries(self):
        return Entries(self.count, tuple(self.names))

    def add(self, name, told, times=1):
        self.ledger.began(name)
        self.count += times
        self.names += [name] if times else []
        self.ledger.ended(name, told)

    def read(self, entries=None):
        return self.ledger.found(self.entries if entries is None else entries, "a read", self.ledger.read())

    @property
    def faults(self):
        return [finding.fault for finding in self.book.findings]


@pytest.fixture
def total():
    return Sum()


def test_additions_made_once_are_right(total):
    total.add("a", APPLIED)
    total.add("b", UNSURE)
    total.add("c", UNSURE, times=0)
    total.add("d", NOT_APPLIED, times=0)
    assert total.read()
    assert total.faults == []


def test_an_addition_made_twice_is_doubled_and_told_once(total):
    total.add("a", APPLIED, times=2)
    assert not total.read()
    assert total.read()
    assert total.faults == [Fault.DOUBLED]


def test_a_name_that_stands_twice_is_doubled(total):
    total.add("a", APPLIED)
    total.names.append("a")
    total.read()
    assert total.faults == [Fault.DOUBLED]


def test_a_version_counts_the_additions_too(total):
    total.add("a", APPLIED)
    total.read(Entries(1, ("a",), 2))
    assert total.faults == [Fault.DOUBLED]


def test_an_applied_addition_that_is_not_stored_is_lost(total):
    total.add("a", APPLIED, times=0)
    assert not total.read()
    assert total.read()
    assert total.faults == [Fault.LOST]


def test_an_addition_that_is_stored_and_not_given_makes_a_read_stale(total):
    total.add("a", APPLIED)
    total.read(Entries(0, ()))
    assert total.faults == [Fault.STALE]


def test_an_unsure_addition_that_was_seen_stays(total):
    total.add("a", UNSURE)
    assert total.read()
    total.names, total.count = [], 0
    total.read()
    assert total.faults == [Fault.LOST]


def test_an_addition_told_as_not_applied_must_not_show(total):
    total.add("a", NOT_APPLIED)
    total.read()
    assert total.faults == [Fault.WRONG]


def test_an_addition_that_a_read_has_shown_must_not_be_told_as_not_applied(total):
    total.ledger.began("a")
    total.read(Entries(1, ("a",)))
    total.ledger.ended("a", NOT_APPLIED)
    assert total.faults == [Fault.WRONG]


def test_an_addition_of_nobody_is_wrong(total):
    total.read(Entries(1, ("a",)))
    assert total.faults == [Fault.WRONG]


# Many steps at random: a sound client is never blamed, and each broken one is.


class Client:
    """A sound client of a server that loses, holds and repeats requests: it tells what it can know."""

    def __init__(self, chance):
        self.chance = chance
        self.store = Store()
        self.held = []
        self.readings = []

    def step(self):
        self.chance.choice((self.write, self.write, self.read, self.begin, self.end, self.arrive, self.settle))()

    def write(self):
        register = self.store.register
        value = None if self.chance.random() < 0.2 else register.next_value()
        register.began(value)
        self.arrive()
        how = self.chance.choice(
            (self.answered, self.answered, self.lost, self.never, self.late, self.twice, self.refused)
        )
        told, again = how(value)
        register.ended([value], told, may_come_again=again)

    def apply(self, value):
        self.store.value = value

    def answered(self, value):
        self.apply(value)
        return APPLIED, False

    def lost(self, value):
        self.apply(value)
        return UNSURE, False

    def never(self, value):
        return UNSURE, False

    def late(self, value):
        self.held.append(value)
        return UNSURE, False

    def twice(self, value):
        self.held.append(value)
        self.apply(value)
        return APPLIED, True

    def refused(self, value):
        return NOT_APPLIED, False

    def arrive(self):
        if self.held and self.chance.random() < 0.5:
            self.store.value = self.held.pop(self.chance.randrange(len(self.held)))

    def settle(self):
        while self.held:
            self.arrive()
        self.store.register.settled()

    def found(self):
        return self.store.value

    def read(self):
        self.store.register.read().found(self.found(), "a read")

    def begin(self):
        self.readings.append((self.store.register.read(), self.store.value))

    def end(self):
        if self.readings:
            reading, found = self.readings.pop(0)
            reading.found(found, "a long read")


class Dropping(Client):
    def answered(self, value):
        return APPLIED, False


class Denying(Client):
    def refused(self, value):
        self.apply(value)
        return NOT_APPLIED, False


class SureOfTooMuch(Client):
    def never(self, value):
        return APPLIED, False


class Repeating(Client):
    def twice(self, value):
        super().twice(value)
        return APPLIED, False


class Remembering(Client):
    last = None

    def found(self):
        found, self.last = self.last, self.store.value
        return found


class Blind(Client):
    def found(self):
        return None


def run(kind, seed, steps=200):
    client = kind(random.Random(seed))
    for _ in range(steps):
        client.step()
    return client.store


@pytest.mark.parametrize("seed", range(30))
def test_a_sound_client_is_never_blamed(seed):
    store = run(Client, seed)
    assert store.book.findings == []


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        (Dropping, {Fault.LOST}),
        (Denying, {Fault.WRONG}),
        (SureOfTooMuch, {Fault.LOST}),
        (Repeating, {Fault.LOST}),
        (Remembering, {Fault.STALE, Fault.WRONG}),
        (Blind, {Fault.WRONG}),
    ],
)
def test_a_broken_client_is_found(kind, faults):
    found = set()
    for seed in range(10):
        found |= set(run(kind, seed).faults)
    assert faults <= found
