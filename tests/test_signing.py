"""The signature: EPoint's own vectors, and everything that must not verify."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.epoint.signing import Sealed, seal, sign, unseal
from gql_epoint.errors import ConfigurationError, SignatureError

DOCUMENT_KEY = "d3hjsl38sd8kdfhbcea0be04eafde9e8e2bad2fb092d"

# Two of EPoint's documents, and one callback recorded by another client. None was made by the code under test.
VECTORS = {
    "payment": (
        DOCUMENT_KEY,
        b'{"public_key":"i000000001","amount":"30.75","currency":"AZN",'
        b'"description":"test payment","order_id":"1"}',
        "eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsImFtb3VudCI6IjMwLjc1IiwiY3VycmVuY3kiOiJBWk4i"
        "LCJkZXNjcmlwdGlvbiI6InRlc3QgcGF5bWVudCIsIm9yZGVyX2lkIjoiMSJ9",
        "a76GNudqblZtV8qF199hctA+cG0=",
    ),
    "status": (
        DOCUMENT_KEY,
        b'{"public_key":"i000000001","order_id":15}',
        "eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsIm9yZGVyX2lkIjoxNX0=",
        "bH9cG854p/wHLf5j6pp6LBI+wBs=",
    ),
    "callback": (
        "test-private-key",
        b'{"order_id":"key-1","status":"success","code":"000","message":"Approved","transaction":"te001234",'
        b'"bank_transaction":"b-77","operation_code":"100","rrn":"123456789012","card_name":"AYSEL M",'
        b'"card_mask":"416973******1234","amount":"20.50"}',
        "eyJvcmRlcl9pZCI6ImtleS0xIiwic3RhdHVzIjoic3VjY2VzcyIsImNvZGUiOiIwMDAiLCJtZXNzYWdlIjoiQXBwcm92ZWQi"
        "LCJ0cmFuc2FjdGlvbiI6InRlMDAxMjM0IiwiYmFua190cmFuc2FjdGlvbiI6ImItNzciLCJvcGVyYXRpb25fY29kZSI6IjEwMCIs"
        "InJybiI6IjEyMzQ1Njc4OTAxMiIsImNhcmRfbmFtZSI6IkFZU0VMIE0iLCJjYXJkX21hc2siOiI0MTY5NzMqKioqKioxMjM0Iiwi"
        "YW1vdW50IjoiMjAuNTAifQ==",
        "K6vw2/ZD45fxioxS0koiX6gvPaY=",
    ),
}

vectors = pytest.mark.parametrize(("key", "body", "data", "signature"), VECTORS.values(), ids=VECTORS)


@vectors
def test_seals_as_the_documents_do(key: str, body: bytes, data: str, signature: str) -> None:
    """What we send is byte for byte what EPoint's documents show."""
    sealed = seal(key, body)

    assert Sealed(data=data, signature=signature) == sealed


@vectors
def test_unseals_what_the_documents_sealed(key: str, body: bytes, data: str, signature: str) -> None:
    """A genuine body comes out as it went in."""
    assert body == unseal(key, data, signature)


_, _, DATA, SIGNATURE = VECTORS["callback"]
KEY = VECTORS["callback"][0]

FORGERIES = {
    "other key": ("test-private-kez", DATA, SIGNATURE),
    "other data": (KEY, VECTORS["status"][2], SIGNATURE),
    "data with another ending": (KEY, DATA[:-1], SIGNATURE),
    "data with a space": (KEY, DATA + " ", SIGNATURE),
    "signature of something else": (KEY, DATA, VECTORS["payment"][3]),
    "empty signature": (KEY, DATA, ""),
    "signature cut short": (KEY, DATA, SIGNATURE[:-1]),
    "signature in other letters": (KEY, DATA, SIGNATURE.lower()),
    "signature with a line break": (KEY, DATA, SIGNATURE + "\n"),
    "hexadecimal signature": (KEY, DATA, base64.b64decode(SIGNATURE).hex()),
    "words": (KEY, "data", "signature"),
    "signature outside ASCII": (KEY, DATA, "é" * 28),
    "lone surrogate in the signature": (KEY, DATA, "\ud800"),
    "lone surrogate in the data": (KEY, "\ud800", SIGNATURE),
}


@pytest.mark.parametrize(("key", "data", "signature"), FORGERIES.values(), ids=FORGERIES)
def test_refuses_forgeries(key: str, data: str, signature: str) -> None:
    """Whatever is wrong with a body or its signature, the answer is the same error and nothing else."""
    with pytest.raises(SignatureError) as caught:
        unseal(key, data, signature)

    assert str(caught.value) == "The signature does not match the data."


@pytest.mark.parametrize("data", ["", "%%%%", "abc", "YQ==YQ==", "YWJj\n", "éé"])
def test_refuses_data_that_is_not_base64_although_it_is_signed(data: str) -> None:
    """A valid signature does not make nonsense readable; empty data verifies, mathematically."""
    with pytest.raises(SignatureError):
        unseal(KEY, data, sign(KEY, data))


@pytest.mark.parametrize("key", ["", " ", "\t\n"])
def test_a_blank_key_signs_and_verifies_nothing(key: str) -> None:
    """An unset key must not accept the signature that anybody could make with an unset key."""
    with pytest.raises(ConfigurationError) as caught:
        unseal(key, "e30=", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")

    assert str(caught.value) == "EPOINT_PRIVATE_KEY: is empty; set the private key of your EPoint merchant"
    with pytest.raises(ConfigurationError):
        seal(key, b"{}")


@given(st.binary(min_size=1), st.text(min_size=1).filter(str.strip).filter(str.isprintable))
def test_round_trip(body: bytes, key: str) -> None:
    """Any body comes back from its own seal, with any key that can be typed."""
    sealed = seal(key, body)

    assert body == unseal(key, sealed.data, sealed.signature)
    assert len(sealed.signature) == 28


@given(st.text(), st.text())
def test_nothing_but_a_signature_error_leaves(data: str, signature: str) -> None:
    """No text, surrogates included, makes the check fail in any other way."""
    with pytest.raises(SignatureError):
        unseal(KEY, data, signature)
