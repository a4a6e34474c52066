"""Reading EPoint's JSON: every shape seen in the wild, and every shape nobody has seen."""

import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.epoint.reading import read, read_object
from gql_epoint.epoint.replies import CardStatusReply, ChargeReply, StatusReply
from gql_epoint.errors import UnreadableError


def one(field: str, written: str) -> Any:
    """Read one field of a status reply from its JSON text."""
    return getattr(read(f'{{"{field}":{written}}}'.encode(), StatusReply), field)


AMOUNTS = [
    ("30.75", "30.75"),
    ('"30.75"', "30.75"),
    ('" 20.50 "', "20.50"),
    ("1", "1"),
    ("0", "0"),
    ("100.0", "100.0"),
    ("999999999999999", "999999999999999"),
    # A double with all its digits, as PHP writes it under serialize_precision=17.
    ("30.600000000000001", "30.6"),
    ('"0.10000000000000001"', "0.1"),
    ("null", None),
    ("true", None),
    ("-5", None),
    ("-0.01", None),
    ('"-5"', None),
    ('"+5"', None),
    ('""', None),
    ('"20,50"', None),
    ('"1 000"', None),
    ('"1e3"', None),
    ("1E5", None),
    ("1e999999999", None),
    ('"NaN"', None),
    ('"Infinity"', None),
    ('".5"', None),
    ('"5."', None),
    ('"٣"', None),
    ("1" + "0" * 15, None),
    ("9" * 4000, None),
    ('{"amount":1}', None),
    ("[1]", None),
]


@pytest.mark.parametrize(("written", "amount"), AMOUNTS)
def test_amounts(written: str, amount: str | None) -> None:
    """An amount is exact or missing, never rounded and never guessed."""
    read_amount = one("amount", written)

    assert amount == (None if read_amount is None else str(read_amount))


TEXTS = [
    ('"te001"', "te001"),
    ('" te001\\n"', "te001"),
    ("116", "116"),
    ("0", "0"),
    ("true", "1"),
    ("false", "0"),
    ("1.50", "1.50"),
    ("null", None),
    ('""', None),
    ('"  "', None),
    ('"\\u0000"', None),
    ('"a\\u0000b"', "ab"),
    ('"T\\u0259sdiq edildi"', "Təsdiq edildi"),
    ('["a",1]', '["a",1]'),
    ('{"a":{"b":1}}', '{"a":{"b":1}}'),
    ("9" * 39, "9" * 39),
    ("9" * 4000, None),
]


@pytest.mark.parametrize(("written", "text"), TEXTS)
def test_texts(written: str, text: str | None) -> None:
    """Text may come as a number or a whole object; blank text is missing text."""
    assert text == one("code", written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('"Approved"', "Approved"),
        ('{"message":"Approved"}', "Approved"),
        ('{"message":null}', None),
        ('{"message":{"message":"deep"}}', '{"message":"deep"}'),
        ('{"text":"other"}', '{"text":"other"}'),
        ('["a"]', '["a"]'),
    ],
)
def test_messages(written: str, message: str | None) -> None:
    """A message may be an object that holds one, as live callbacks showed."""
    assert message == one("message", written)


def test_only_a_message_is_unwrapped() -> None:
    """A status inside an object is not a status: money must not hang on a guess."""
    assert one("status", '{"message":"success"}') == '{"message":"success"}'


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('"text"', "text"),
        ("null", None),
        ('{"a":[1,true,null,"x"]}', {"a": [1, True, None, "x"]}),
        ("1.5", "1.5"),
        ('{"a\\u0000":"b\\u0000"}', {"a": "b"}),
        (str(2**63), str(2**63)),
        (str(-(2**63)), -(2**63)),
        ("9" * 4000, None),
    ],
)
def test_other_attributes_keep_their_shape(written: str, kept: Any) -> None:
    """The merchant's own data comes back as it was sent, but for what no database takes."""
    assert kept == one("other_attr", written)


def test_nesting_is_cut() -> None:
    """Nobody's data is nested a hundred deep; what is would only break whoever writes it down."""
    read_back = one("other_attr", "[" * 100 + "]" * 100)

    assert msgspec.json.encode(read_back).decode() == "[" * 20 + "null" + "]" * 20


UNREADABLE = {
    "nothing": b"",
    "HTML": b"<html></html>",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "text": b'"success"',
    "not a number": b'{"amount":NaN}',
    "two objects": b"{}{}",
    "cut short": b'{"status":"succ',
    "lone surrogate": b'{"message":"\\ud800"}',
    "deep list": b'{"a":' + b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "endless integer": b'{"a":' + b"9" * 5_000 + b"}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_an_object_is_unreadable(body: bytes) -> None:
    """There is one error for everything that is not EPoint's JSON."""
    with pytest.raises(UnreadableError):
        read(body, StatusReply)


def test_the_last_of_repeated_keys_counts() -> None:
    """As in every common JSON reader; a signature covers them all."""
    assert read(b'{"code":"a","code":"b"}', StatusReply).code == "b"


def test_a_byte_order_mark_is_skipped() -> None:
    """PHP files saved with one send one."""
    assert read(b'\xef\xbb\xbf{"status":"success"}', ChargeReply).status == "success"


def test_bytes_in_another_encoding_do_not_hide_a_result() -> None:
    """A charge that succeeded is known to have succeeded, whatever the cardholder's name looks like."""
    reply = read(b'{"status":"success","card_name":"\xddSMAYIL"}', ChargeReply)

    assert (reply.status, reply.card_name) == ("success", "\ufffdSMAYIL")


def test_recorded_reply() -> None:
    """A reply as another client's tests record it."""
    body = (
        '{"status":"success","message":"Təsdiq edildi","transaction":"te001","bank_transaction":"b",'
        '"bank_response":"","operation_code":null,"rrn":"RRN-1","card_mask":"*******1234",'
        '"card_name":"Name Surname","amount":1,"code":"","order_id":"random_order_id","unheard_of":{}}'
    )

    assert StatusReply(
        status="success",
        message="Təsdiq edildi",
        transaction="te001",
        bank_transaction="b",
        rrn="RRN-1",
        card_mask="*******1234",
        card_name="Name Surname",
        amount=Decimal(1),
        order_id="random_order_id",
    ) == read(body.encode(), StatusReply)


def test_card_state_is_the_status() -> None:
    """For a saved card, `status` is the state of the card."""
    assert CardStatusReply(id="ce1", status="active") == read(b'{"id":"ce1","status":"active"}', CardStatusReply)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False).map(str),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_surrogates = st.text(st.characters(categories=["Cs", "L", "Cc"]))


def _storable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_storable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(_storable(item) for item in value)
    if isinstance(value, str):
        return "\x00" not in value and value.encode().decode() == value
    if isinstance(value, Decimal):
        return value.is_finite() and 0 <= value < 10**15
    return value is None or isinstance(value, bool) or abs(value) < 2**64


@given(st.dictionaries(st.sampled_from(StatusReply.__struct_fields__), _json | _surrogates))
def test_every_object_is_read_and_can_be_stored(raw: dict[str, Any]) -> None:
    """Whatever the fields hold, reading does not fail, and its result fits into any database."""
    reply = msgspec.to_builtins(read_object(raw, StatusReply), builtin_types=(Decimal,))

    assert _storable(reply)
    assert msgspec.json.encode(reply)


@given(st.binary() | _json.map(msgspec.json.encode) | st.text().map(str.encode))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """A body is read or it is unreadable."""
    try:
        reply = read(body, StatusReply)
    except UnreadableError:
        return

    assert isinstance(reply, StatusReply)


def test_reading_leaves_room_on_the_stack() -> None:
    """Nesting just below the decoder's own limit does not break the code behind it."""
    deep = "[" * (sys.getrecursionlimit() // 2)
    body = '{"message":' + deep + "]" * len(deep) + ',"status":"success"}'

    assert read(body.encode(), StatusReply).status == "success"
