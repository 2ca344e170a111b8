"""`resilient-ddb load` and `resilient-ddb export`: files into a table and a table into files, whole and resumable.

Input is hostile until it is parsed. Readers give rows, or the reason why a row is refused. Nothing larger than the
limits in `limits` is ever held.
"""
