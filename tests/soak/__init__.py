"""The soak: every kind of operation through faults on the wire, held against what each answer allows.

`python -m tests.soak --seconds 60 --seed 7` starts DynamoDB Local and a relay before it that makes faults, lets
threads and tasks work through the relay, and reads everything back at the end, past the relay. It prints the
operations, the faults, and what was lost, doubled, stale or wrongly told. It ends with 1 if there is any of that, and
then writes the seed and the findings to a file. `--help` lists the options.

The seed decides what each worker does next and which fault a request meets. It can't decide in which order the
threads run, and so not which request is the tenth: two runs with one seed are alike, not the same.

    model      what may be stored, by the answers; pure
    told       what an answer or an error says of a write
    relay      HTTP between clients and DynamoDB Local, in a thread of its own
    messages   reading and writing HTTP messages
    faults     the kinds of fault, in one list
    plan       which fault a request meets, and when everything fails for a while
    sides      the sync and the async library behind one face
    world      the tables, and the items that there are
    worker     one thread or task: what every operation shares
    registers, ledgers, listings   the operations
    audit      reading everything back
    run        one run, from start to report
"""

import time

STARTED = time.monotonic()
"""When the program began: its seconds count from here."""
