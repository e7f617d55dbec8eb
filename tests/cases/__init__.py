"""The table of authorization cases, `authorization.toml`, for everything that enforces a policy.

An adapter is driven by it through one class with one method, `table.Driver`: it asks for the association that a case
describes, under the case's policy, sends the case's request, and returns what it saw. `core.CoreDriver` asks the
core, `tests/pynetdicom/test_authorization_table.py` a pynetdicom server.
"""
