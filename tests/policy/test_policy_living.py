"""Sets of weak references that several threads use: observed clients, the views of a client, a session's clients."""

from __future__ import annotations

import weakref

import boto3
from codec_calls import ACCESS
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb.calls import flushing
from resilient_ddb.hooks.host import hardened_session
from resilient_ddb.policy.living import living


class Growing(weakref.WeakSet):
    """Gets a further member while it is first read, as from another thread."""

    def __init__(self, members, newcomer):
        super().__init__(members)
        self._newcomers = [newcomer]

    def __iter__(self):
        for member in super().__iter__():
            if self._newcomers:
                self.add(self._newcomers.pop())
            yield member


class Member:
    flushes = 0

    def flushed(self):
        return [self]

    def flush(self):
        self.flushes += 1


def test_a_set_that_grows_while_it_is_read_is_read_again():
    members, newcomer = [Member() for _ in range(3)], Member()
    assert set(living(Growing(members, newcomer))) == {*members, newcomer}


def test_clients_that_other_threads_make_meanwhile_do_not_fail_a_flush(monkeypatch):
    members, newcomer = [Member() for _ in range(3)], Member()
    monkeypatch.setattr(flushing, "_observed", Growing(members, newcomer))

    @rddb.lambda_handler
    def handler(event, context):
        return event

    class Context:
        def get_remaining_time_in_millis(self):
            return 1000

    assert handler("answer", Context()) == "answer"
    assert [member.flushes for member in (*members, newcomer)] == [1, 1, 1, 1]


def test_nor_the_policy_of_a_session():
    session = boto3.Session(**ACCESS)
    rddb.harden(session)
    first, second = session.client("dynamodb"), session.client("dynamodb")
    kept = hardened_session(session._session.get_component("event_emitter"))  # noqa: SLF001 - boto3's has no public name
    kept.clients = Growing([first], second)
    chosen = rddb.Policy(retry=rddb.Retry(max_attempts=3))
    rddb.set_policy(session, chosen)
    assert [core_of(client).policy for client in (first, second)] == [chosen, chosen]
