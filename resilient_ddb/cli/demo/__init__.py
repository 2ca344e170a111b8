"""The demo behind `resilient-ddb demo`: the same work with boto3 and with resilient_ddb, through the same trouble.

`scenario` says what is done and what goes wrong, `workload` does it, `tally` counts what came of it, and
`figures`, `charts`, `report` and `screen` show it. Nothing here is imported by the library itself.
"""
