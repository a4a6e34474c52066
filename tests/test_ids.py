"""Ids sort by time, say what they name, and events are named by their place."""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.ledger import ids

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("prefix", [ids.TRANSACTION, ids.REFUND, ids.SAVED_CARD, ids.CALLBACK])
def test_id_is_a_version_7_uuid_with_a_prefix(prefix: str) -> None:
    """The prefix says what it names, the body is standard."""
    name, _, body = ids.new_id(prefix, NOW, os.urandom(ids.RANDOM_BYTES)).rpartition("_")
    value = uuid.UUID(hex=body)

    assert re.fullmatch("[0-9a-f]{32}", body)
    assert (name, value.version, value.variant) == (prefix, 7, uuid.RFC_4122)


@given(
    minutes=st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)),
    random=st.tuples(*[st.binary(min_size=ids.RANDOM_BYTES, max_size=ids.RANDOM_BYTES)] * 2),
)
def test_sorting_by_id_is_sorting_by_time(minutes: tuple[int, int], random: tuple[bytes, bytes]) -> None:
    """Whatever the random part is."""
    early, late = sorted(minutes)
    first, second = (
        ids.new_id("tr", NOW + timedelta(minutes=minute), part)
        for minute, part in zip((early, late), random, strict=True)
    )

    assert early == late or first < second


def test_random_part_tells_ids_of_one_moment_apart() -> None:
    """74 of the 80 random bits reach the id."""
    made = {ids.new_id("tr", NOW, (1 << bit).to_bytes(ids.RANDOM_BYTES, "big")) for bit in range(80)}

    assert len(made) == 75  # the six bits of version and variant collapse into one


def test_event_id_names_its_place() -> None:
    """An event is found again by its stream and number."""
    stream_id = ids.new_id(ids.TRANSACTION, NOW, bytes(ids.RANDOM_BYTES))

    assert ids.split_event_id(ids.event_id(stream_id, 12)) == (stream_id, 12)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ev",
        "ev_",
        "ev_1",
        "ev__1",
        "tr_1_1",
        "ev_tr_1_",
        "ev_tr_1_-1",
        "ev_tr_1_x",
        "ev_tr_1_²",
        "ev_tr_1_" + "9" * 10,
    ],
)
def test_anything_else_is_no_event_id(value: str) -> None:
    """Outside text raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="not an event id"):
        ids.split_event_id(value)
