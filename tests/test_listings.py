"""EPoint's lists, in every shape that they were seen or may come in."""

from __future__ import annotations

import msgspec
import pytest

from gql_epoint.epoint.listings import InstallmentPlan, read_installment_plans
from gql_epoint.epoint.operations import INSTALLMENT_PLANS, InstallmentPlansReply
from gql_epoint.epoint.reading import read
from gql_epoint.errors import UnreadableError


def installment_plans(body: str) -> InstallmentPlansReply:
    """Read a reply as the gateway does."""
    return read(body.encode(), INSTALLMENT_PLANS.reply, INSTALLMENT_PLANS.wrap)


BIRK = InstallmentPlan(card_id="4", name="Bank", months=(3, 6))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('[{"name":"Bank","installment_card_id":4,"installment_months":[3,6]}]', (BIRK,)),
        ('[{"name":"Bank","installment_card_id":"4","installment_months":["3","6"]}]', (BIRK,)),
        (
            '[{"name":null,"installment_card_id":"4","installment_months":[3,null,0,-1,"x",6,1.5,99999999999]}]',
            (msgspec.structs.replace(BIRK, name="", months=(3, 6)),),
        ),
        ('[{"name":"Bank","installment_card_id":"4","installment_months":[]}]', ()),
        ('[{"name":"Bank","installment_card_id":null,"installment_months":[3]}]', ()),
        ('[{"name":"Bank","installment_card_id":"4","installment_months":{"3":6}}]', ()),
        ('[{"installment_card_id":"4"}, 7, null, "x", []]', ()),
        ("[]", ()),
    ],
)
def test_installment_plans(body: str, expected: tuple[InstallmentPlan, ...]) -> None:
    """Ids and months as numbers or text; what lacks either is left out, and the rest is still there."""
    assert read_installment_plans(installment_plans(body).plans) == expected


def test_refusal_is_no_empty_list() -> None:
    """An object with a status is an error and not a list of nothing."""
    refused = installment_plans('{"status":"error","message":"This service is not available"}')

    assert (refused.plans, refused.status, refused.message) == (None, "error", "This service is not available")


@pytest.mark.parametrize("body", ["7", '"x"', "null", "<html>", ""])
def test_anything_else_is_unreadable(body: str) -> None:
    """It is said to be so, and not taken for an empty list."""
    with pytest.raises(UnreadableError):
        installment_plans(body)
