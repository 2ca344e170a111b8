"""What an engineer on call looks at, and holds by hand."""

import json

import resilient_ddb as rddb

emf = rddb.observers.EmfObserver(namespace="shop")
policy = rddb.Policy(observers=[emf, rddb.observers.LoggingObserver()])
orders = rddb.table("orders", policy=policy)
orders.get_item(Key={"id": "o-1"})
emf.flush()

state = rddb.status(orders)
print(json.dumps(state.as_dict()))
print([(circuit.name, circuit.state, circuit.forced) for circuit in state.circuits])
read: float | None = None if state.timeouts is None else state.timeouts.read
print(read, state.budgets[0].tokens < state.budgets[0].capacity, state.connections)

write = rddb.circuits(orders)["write"]
write.force_open("maintenance until 4")
try:
    orders.put_item(Item={"id": "o-1"})
except rddb.CircuitOpenError as error:
    print(error.reason, error.retry_after)
write.release()
