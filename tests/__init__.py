"""Tests of the service: `test_x.py` is about `x.py`, or about the promise that it is named after.

There are no mocks: a real server, SQLite, PostgreSQL and the simulator over HTTP. cases.py has a row for each
operation; service.py, cashier_kit.py and their like start what a test needs. What takes a browser, Node or a
container is in folders of its own.
"""
