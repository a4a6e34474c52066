"""Look at one header of a request."""

from __future__ import annotations

from gql_epoint.web.headers import header


def test_the_first_of_several_is_the_one_that_counts() -> None:
    """Whoever counts a request and whoever lets it in look at the same credential."""
    scope = {"headers": [(b"authorization", b"Bearer a"), (b"accept", b"\xe4"), (b"authorization", b"Bearer b")]}

    assert header(scope, b"authorization") == "Bearer a"
    assert header(scope, b"accept") == "\xe4"
    assert header(scope, b"origin") is None
