from __future__ import annotations

import hashlib

import pytest

from gql_epoint import schema
from gql_epoint.keys import (
    DEVELOPMENT,
    DEVELOPMENT_KEY,
    KeyRing,
    Scope,
    SecretKey,
    digest_of,
    is_client_token,
    is_intact,
    new_client_token,
    new_secret_key,
    parse_keys,
)

READ = frozenset({Scope.PAYMENTS_READ})


def zeros(count: int) -> bytes:
    return bytes(count)


def key(name: str = "shop", secret: str = "sk_live_x") -> SecretKey:
    return SecretKey(name=name, scopes=READ, digest=digest_of(secret))


def test_a_new_key_has_a_prefix_256_bits_and_a_checksum() -> None:
    """Scanners find a leaked key by its prefix and its checksum, and nobody guesses one."""
    made = new_secret_key(zeros)

    assert made == "sk_live_" + "0" * 43 + "_" + made[-6:]
    assert is_intact(made)
    assert new_secret_key(lambda count: b"\xff" * count) != made


def test_a_client_token_is_made_in_the_same_way() -> None:
    """And is never taken for a key, nor a key for it."""
    made = new_client_token(zeros)

    assert made == "ct_" + "0" * 43 + "_" + new_secret_key(zeros)[-6:]
    assert (is_client_token(made), is_intact(made)) == (True, False)
    assert not is_client_token(new_secret_key(zeros))
    assert not is_client_token(made.replace("00", "01", 1))


@pytest.mark.parametrize("change", ["cut", "typo", "prefix"])
def test_a_damaged_key_is_noticed(change: str) -> None:
    """A key that was cut or mistyped is told apart from one that is unknown."""
    made = new_secret_key(zeros)
    damaged = {"cut": made[:-1], "typo": made.replace("00", "01", 1), "prefix": made.replace("live", "test")}[
        change
    ]

    assert not is_intact(damaged)


def test_a_line_reads_back_as_the_key_it_was_made_from() -> None:
    """What `keys new` prints is what the setting takes."""
    one = SecretKey(name="shop-backend", scopes=frozenset(Scope), digest=digest_of("a"))
    two = key("reports", "b")

    assert parse_keys(f"{one.line()},\n {two.line()} \n") == (one, two)


def test_the_digest_is_plain_sha256() -> None:
    """Anyone can make a line with standard tools."""
    assert digest_of("sk_live_x") == hashlib.sha256(b"sk_live_x").hexdigest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sk_live_abc", "never the key itself"),
        ("shop:PAYMENTS_READ:sk_live_abc", "never the key itself"),
        ("shop:PAYMENTS_READ", "name:SCOPE+SCOPE:hash"),
        ("shop:PAYMENTS_READ:abc", "name:SCOPE+SCOPE:hash"),
        (f"shop::{digest_of('x')}", "the scopes must be some of"),
        (f"shop:EVERYTHING:{digest_of('x')}", "the scopes must be some of"),
        (f":PAYMENTS_READ:{digest_of('x')}", "a name has"),
        (f"Shop Backend:PAYMENTS_READ:{digest_of('x')}", "a name has"),
        (f"shop:PAYMENTS_READ:{digest_of('')}", "the hash of an empty key"),
        (f"shop:PAYMENTS_READ:{DEVELOPMENT.digest}", "the sandbox's key"),
        (f"{key().line()},{key(secret='y').line()}", "the same names"),
        (f"{key().line()},{key('other').line()}", "the same hashes"),
    ],
)
def test_a_bad_entry_is_refused_without_quoting_it(text: str, words: str) -> None:
    """A key that was pasted by mistake shows up in no error, so in no log."""
    with pytest.raises(ValueError, match=r"entr") as caught:
        parse_keys(text)

    assert words in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_ring_finds_a_key_by_its_secret_only() -> None:
    """A digest, a name, a blank or anything else opens nothing."""
    ring = KeyRing([key()])

    assert ring.find("sk_live_x") == key()
    for wrong in ("", " ", "sk_live_X", "shop", key().digest, "sk_live_x ", "\ud800", "ə"):
        assert ring.find(wrong) is None


def test_a_ring_without_keys_opens_for_nobody() -> None:
    """An unset setting is no open door, not even for the hash of nothing."""
    assert KeyRing([]).find("") is None
    assert KeyRing([SecretKey(name="bad", scopes=READ, digest=digest_of(""))]).find("") is None
    assert KeyRing([]).find(DEVELOPMENT_KEY) is None


def test_scopes_of_keys_are_those_of_the_contract() -> None:
    """A key can be given each scope that a field can ask for, and no other."""
    assert [scope.name for scope in Scope] == [scope.name for scope in schema.access.Scope]
