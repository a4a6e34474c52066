"""Webhook bodies: what proves that EPoint sent them, in every encoding it was seen to use."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.epoint.callback import Callback, read_callback
from gql_epoint.epoint.signing import Sealed, seal
from gql_epoint.errors import ConfigurationError, SignatureError, UnreadableError

KEY = "test-private-key"

# A callback that another client recorded, sealed with KEY; not made by the code under test.
SEALED = Sealed(
    data="eyJvcmRlcl9pZCI6ImtleS0xIiwic3RhdHVzIjoic3VjY2VzcyIsImNvZGUiOiIwMDAiLCJtZXNzYWdlIjoiQXBwcm92ZWQi"
    "LCJ0cmFuc2FjdGlvbiI6InRlMDAxMjM0IiwiYmFua190cmFuc2FjdGlvbiI6ImItNzciLCJvcGVyYXRpb25fY29kZSI6IjEwMCIs"
    "InJybiI6IjEyMzQ1Njc4OTAxMiIsImNhcmRfbmFtZSI6IkFZU0VMIE0iLCJjYXJkX21hc2siOiI0MTY5NzMqKioqKioxMjM0Iiwi"
    "YW1vdW50IjoiMjAuNTAifQ==",
    signature="K6vw2/ZD45fxioxS0koiX6gvPaY=",
)
CALLBACK = Callback(
    status="success",
    order_id="key-1",
    transaction="te001234",
    amount=Decimal("20.50"),
    code="000",
    message="Approved",
    card_name="AYSEL M",
    card_mask="416973******1234",
    bank_transaction="b-77",
    operation_code="100",
    rrn="123456789012",
)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=----form7f"
JSON = "application/json"


def urlencoded(sealed: Sealed) -> bytes:
    """Write the two fields as PHP's http_build_query does."""
    return urlencode({"data": sealed.data, "signature": sealed.signature}).encode()


def multipart(sealed: Sealed, boundary: str = "----form7f", newline: str = "\r\n", quote: str = '"') -> bytes:
    """Write the two fields as browsers, curl and Go do."""
    lines = []
    for name, value in (("data", sealed.data), ("signature", sealed.signature)):
        lines += [f"--{boundary}", f"Content-Disposition: form-data; name={quote}{name}{quote}", "", value]
    return newline.join([*lines, f"--{boundary}--", ""]).encode()


def json(sealed: Sealed) -> bytes:
    """Write the two fields as a JSON object."""
    return msgspec.json.encode(sealed)


def signed(fields: dict[str, Any]) -> bytes:
    """Sign any callback as EPoint would."""
    return urlencoded(seal(KEY, msgspec.json.encode(fields)))


GENUINE = {
    "urlencoded": (FORM, urlencoded(SEALED)),
    "urlencoded with a charset": (f"{FORM}; charset=UTF-8", urlencoded(SEALED)),
    "urlencoded in another order": (FORM, b"&".join(reversed(urlencoded(SEALED).split(b"&")))),
    "urlencoded with other fields": (FORM, b"a=1&" + urlencoded(SEALED) + b"&b=%FF&c"),
    "urlencoded with a line break": (FORM, urlencoded(SEALED) + b"\r\n"),
    "urlencoded without percent signs": (FORM, f"data={SEALED.data}&signature={SEALED.signature}".encode()),
    "urlencoded, no content type": ("", urlencoded(SEALED)),
    "urlencoded, called JSON": (JSON, urlencoded(SEALED)),
    "urlencoded, called multipart": (MULTIPART, urlencoded(SEALED)),
    "urlencoded, called nonsense": ("\ud800;\r\n=", urlencoded(SEALED)),
    "multipart": (MULTIPART, multipart(SEALED)),
    "multipart, quoted boundary": ('Multipart/Form-Data; BOUNDARY="----form7f"', multipart(SEALED)),
    "multipart, boundary not named": ("multipart/form-data", multipart(SEALED)),
    "multipart, other boundary named": ("multipart/form-data; boundary=other", multipart(SEALED)),
    "multipart, no content type": ("", multipart(SEALED)),
    "multipart, called urlencoded": (FORM, multipart(SEALED)),
    "multipart, called JSON": (JSON, multipart(SEALED)),
    "multipart, bare line feeds": (MULTIPART, multipart(SEALED, newline="\n")),
    "multipart, bare names": (MULTIPART, multipart(SEALED, quote="")),
    "multipart after a preamble": (MULTIPART, b"This is a form.\r\n" + multipart(SEALED)),
    "multipart without an end": (MULTIPART, multipart(SEALED).removesuffix(b"------form7f--\r\n")),
    "multipart with more headers": (
        MULTIPART,
        multipart(SEALED).replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"),
    ),
    "JSON": (JSON, json(SEALED)),
    "JSON with a charset": (f"{JSON}; charset=utf-8", json(SEALED)),
    "JSON with space around": (JSON, b"\r\n " + json(SEALED) + b"\n"),
    "JSON with a byte order mark": (JSON, b"\xef\xbb\xbf" + json(SEALED)),
    "JSON with other fields": (JSON, json(SEALED).replace(b"{", b'{"n":1,"o":{},"l":[],')),
    "JSON, no content type": ("", json(SEALED)),
    "JSON, called urlencoded": (FORM, json(SEALED)),
    "JSON, called multipart": (MULTIPART, json(SEALED)),
}


@pytest.mark.parametrize(("content_type", "raw"), GENUINE.values(), ids=GENUINE)
def test_reads_a_genuine_callback(content_type: str, raw: bytes) -> None:
    """A payment is not lost because of how its callback was written down."""
    assert read_callback(KEY, content_type, raw) == CALLBACK


def test_plus_signs_survive_without_encoding() -> None:
    """A raw plus sign reads as a space in a form, and base64 has no spaces, so it is put back."""
    sealed = next(
        sealed
        for number in range(1000)
        if "+" in (sealed := seal(KEY, f'{{"status":"success","rrn":"{number}","message":">>>~~~"}}'.encode())).data
        and sealed.signature.startswith("+")
    )
    raw = f"data={sealed.data}&signature={sealed.signature}".encode()

    assert b"+" in raw
    assert read_callback(KEY, FORM, raw).message == ">>>~~~"
    assert read_callback(KEY, FORM, urlencoded(sealed)).message == ">>>~~~"


FORGED = {
    "another key": urlencoded(seal("another key", b'{"status":"success"}')),
    "changed data": urlencoded(SEALED).replace(b"data=eyJ", b"data=eyK"),
    "signature of other data": urlencoded(Sealed(data=SEALED.data, signature="a76GNudqblZtV8qF199hctA+cG0=")),
    "empty signature": urlencoded(Sealed(data=SEALED.data, signature="")),
    "empty data": urlencoded(seal(KEY, b"")),
    "words": b"data=data&signature=signature",
    "percent-encoded nonsense": b"data=%FF%FE&signature=%FF",
    "surrogates in JSON": b'{"data":"\\ud83d\\ude00","signature":"\xed\xa0\x80"}',
    "no status": signed({"order_id": "1", "amount": "1.00"}),
    "status by another name": signed({"Status": "success"}),
    "our own request": signed({"public_key": "i000000001", "order_id": "1", "amount": "1.00"}),
    "our own request with a status": signed({"public_key": "i000000001", "status": "success"}),
    "our own request without a public key": signed({"public_key": None, "status": "success"}),
}


@pytest.mark.parametrize("raw", FORGED.values(), ids=FORGED)
def test_refuses_what_epoint_did_not_send(raw: bytes) -> None:
    """A wrong signature, and one of our own requests sent back, fail alike."""
    with pytest.raises(SignatureError):
        read_callback(KEY, FORM, raw)


REFLECTED = {
    "payment": (
        "eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsImFtb3VudCI6IjMwLjc1IiwiY3VycmVuY3kiOiJBWk4i"
        "LCJkZXNjcmlwdGlvbiI6InRlc3QgcGF5bWVudCIsIm9yZGVyX2lkIjoiMSJ9",
        "a76GNudqblZtV8qF199hctA+cG0=",
    ),
    "status": ("eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsIm9yZGVyX2lkIjoxNX0=", "bH9cG854p/wHLf5j6pp6LBI+wBs="),
}


@pytest.mark.parametrize(("data", "signature"), REFLECTED.values(), ids=REFLECTED)
@pytest.mark.parametrize("write", [urlencoded, multipart, json])
def test_refuses_the_documents_own_requests(write: Any, data: str, signature: str) -> None:
    """The browser of a customer sees signed requests; sent to our webhook they prove nothing."""
    raw = write(Sealed(data=data, signature=signature))

    with pytest.raises(SignatureError):
        read_callback("d3hjsl38sd8kdfhbcea0be04eafde9e8e2bad2fb092d", "", raw)


def test_a_null_status_is_a_callback_that_proves_nothing() -> None:
    """EPoint may leave any field empty: the reader passes it on, and the ledger asks again."""
    assert read_callback(KEY, FORM, signed({"status": None, "order_id": 15})) == Callback(order_id="15")


def test_a_blank_key_accepts_nothing() -> None:
    """An unset key is a mistake of the operator, whatever the body says."""
    with pytest.raises(ConfigurationError):
        read_callback("", FORM, urlencoded(SEALED))


# What live callbacks and other clients' recordings hold.
RECORDED = {
    "message as an object": (
        {"status": "failed", "message": {"message": "No"}},
        Callback(status="failed", message="No"),
    ),
    "amount as a number": (
        {"status": "success", "amount": 30.75},
        Callback(status="success", amount=Decimal("30.75")),
    ),
    "order id and code as numbers": (
        {"status": "failed", "order_id": 15, "code": 116},
        Callback(status="failed", order_id="15", code="116"),
    ),
    "attributes as a list": (
        {"status": "success", "other_attr": [{"key": "a", "value": 1}]},
        Callback(status="success", other_attr=[{"key": "a", "value": 1}]),
    ),
    "attributes as text": ({"status": "success", "other_attr": "x"}, Callback(status="success", other_attr="x")),
    "everything else null": (
        dict.fromkeys(Callback.__struct_fields__) | {"status": "failed"},
        Callback(status="failed"),
    ),
    "fields nobody knows": ({"status": "returned", "payment_type": "card"}, Callback(status="returned")),
    "card": (
        {
            "status": "success",
            "code": "000",
            "card_id": "ce1",
            "operation_code": "001",
            "card_mask": "422865******5765",
        },
        Callback(status="success", code="000", card_id="ce1", operation_code="001", card_mask="422865******5765"),
    ),
    "split": (
        {"status": "success", "amount": 100.0, "split_amount": "30.00"},
        Callback(status="success", amount=Decimal("100.0"), split_amount=Decimal("30.00")),
    ),
}


@pytest.mark.parametrize(("fields", "callback"), RECORDED.values(), ids=RECORDED)
def test_reads_leniently_what_is_proven(fields: dict[str, Any], callback: Callback) -> None:
    """After the signature, no type is held against EPoint."""
    assert read_callback(KEY, FORM, signed(fields)) == callback


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"null", b'"success"', b"<xml/>", b"\xff\xfe", b'{"status":' * 5_000]
)
def test_signed_nonsense_is_unreadable(body: bytes) -> None:
    """A valid signature over something else than a JSON object is no callback, and says so by its own error."""
    with pytest.raises(UnreadableError):
        read_callback(KEY, FORM, urlencoded(seal(KEY, body)))


KB64 = 65_536
UNREADABLE = {
    "nothing": ("", b""),
    "only a content type": (MULTIPART, b""),
    "no signature": (FORM, b"data=e30="),
    "no data": (FORM, b"signature=e30="),
    "other names": (FORM, b"Data=e30=&Signature=e30="),
    "binary": (FORM, bytes(range(256))),
    "a JSON list": (JSON, b'["data","signature"]'),
    "JSON numbers": (JSON, b'{"data":1,"signature":2}'),
    "JSON cut short": (JSON, json(SEALED)[:-1]),
    "multipart without parts": (MULTIPART, b"------form7f--\r\n"),
    "multipart without names": (MULTIPART, multipart(SEALED).replace(b"name=", b"nome=")),
    "multipart names in file names": (MULTIPART, multipart(SEALED).replace(b"; name=", b"; filename=")),
    "multipart without blank lines": (MULTIPART, multipart(SEALED).replace(b"\r\n\r\n", b"\r\n")),
    "multipart data after the end": (MULTIPART, b"------form7f--\r\n" + multipart(SEALED)),
    "gzip": (JSON, b"\x1f\x8b\x08\x00" + b"\x00" * 100),
    # Bodies of the greatest size that are made to keep a parser busy.
    "boundaries only": (MULTIPART, b"------form7f\r\n" * (KB64 // 14)),
    "boundaries of one byte": ("multipart/form-data; boundary=-", b"-" * KB64),
    "line breaks only": (MULTIPART, b"------form7f\r\n" + b"\r\n" * (KB64 // 2)),
    "one endless header": (MULTIPART, b"------form7f\r\nContent-Disposition: " + b"; name" * (KB64 // 6)),
    "endless headers": (MULTIPART, b"------form7f\r\n" + b"Content-Disposition: ;\r\n" * (KB64 // 24)),
    "nested multiparts": (MULTIPART, b"------form7f\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 900),
    "ampersands only": (FORM, b"&" * KB64),
    "equal signs only": (FORM, b"=" * KB64),
    "percent signs only": (FORM, b"%" * KB64),
    "many fields": (FORM, b"a=1&" * (KB64 // 4)),
    "open brackets": (JSON, b'{"a":' * (KB64 // 5)),
    "digits": (JSON, b'{"data":' + b"9" * KB64),
    "white space": (JSON, b" " * KB64),
}


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("content_type", "raw"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_holds_no_data_and_signature_is_unreadable(content_type: str, raw: bytes) -> None:
    """There is one error for it, and it comes at once."""
    with pytest.raises(UnreadableError):
        read_callback(KEY, content_type, raw)


@pytest.mark.timeout(5)
def test_an_endless_boundary_in_the_content_type_costs_nothing() -> None:
    """Headers are bounded by the server, and again here."""
    with pytest.raises(UnreadableError):
        read_callback(KEY, "multipart/form-data;" + "boundary=" * KB64, b"--a\r\n\r\n")


_fragments = st.sampled_from(
    [
        json(SEALED),
        SEALED.data.encode(),
        b"Content-Disposition: form-data; name=",
        b"------form7f",
        b"signature",
        b"data",
        b"\r\n",
        *(bytes([byte]) for byte in b'\n-=&%+"{}:\xff\x00'),
    ]
)
_damaged = st.tuples(
    st.binary(max_size=50), st.sampled_from([raw for _, raw in GENUINE.values()]), st.binary(max_size=50)
)
_bodies = st.binary() | st.lists(_fragments, max_size=30).map(b"".join) | _damaged.map(b"".join)
_content_types = st.text() | st.sampled_from(["", FORM, MULTIPART, JSON, "multipart/form-data; boundary="])


@given(_content_types, _bodies)
def test_nothing_else_leaves(content_type: str, raw: bytes) -> None:
    """Whatever arrives at the webhook ends in what EPoint said or in one of two errors."""
    try:
        callback = read_callback(KEY, content_type, raw)
    except (SignatureError, UnreadableError):
        return

    assert callback == CALLBACK


@given(st.binary())
def test_whatever_is_signed_is_read_or_unreadable(body: bytes) -> None:
    """The same holds behind the signature."""
    try:
        callback = read_callback(KEY, FORM, urlencoded(seal(KEY, body)))
    except (SignatureError, UnreadableError):
        return

    assert isinstance(callback, Callback)
