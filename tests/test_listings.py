"""EPoint's lists, in every shape that they were seen or may come in."""

from __future__ import annotations

import msgspec
import pytest

from gql_epoint.epoint.listings import InstallmentPlan, read_installment_plans, read_wallets
from gql_epoint.epoint.operations import INSTALLMENT_PLANS, PAY, PAY_WITH_WALLET, WALLETS
from gql_epoint.epoint.reading import read
from gql_epoint.epoint.replies import InstallmentPlansReply
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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Recorded live.
        ('{"8":"Portmanat","9":"M10","10":"BirBank"}', [("8", "Portmanat"), ("9", "M10"), ("10", "BirBank")]),
        # What a public SDK's tests expect.
        ('{"status":"success","wallets":[{"id":"9","name":"M10"}]}', [("9", "M10")]),
        ('{"wallets":[{"id":9,"name":"M10"},{"id":10},{"name":"?"},7,null]}', [("9", "M10")]),
        ('{"status":"success","wallets":{"9":"M10"}}', [("9", "M10")]),
        ('{"9":"M10","status":"success","trace_id":"t","message":""}', [("9", "M10")]),
        ('[{"id":9,"name":"M10"}]', [("9", "M10")]),
        ('{"9":null,"10":"BirBank"}', [("10", "BirBank")]),
        ("[]", []),
        ("{}", []),
    ],
)
def test_wallets(body: str, expected: list[tuple[str, str]]) -> None:
    """Every shape that was seen, and those that PHP makes of an empty one."""
    reply = read(body.encode(), WALLETS.reply, WALLETS.wrap)

    assert [(wallet.id, wallet.name) for wallet in read_wallets(reply.wallets)] == expected


def test_refusal_to_list_wallets_is_no_empty_list() -> None:
    """An object with a status and nothing else is an error."""
    reply = read(b'{"status":"error","message":"No"}', WALLETS.reply, WALLETS.wrap)

    assert (reply.wallets, reply.status, reply.message) == (None, "error", "No")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"redirect_url":"https://epoint.az/w"}', "success"),
        ('{"status":null,"redirect_url":"https://epoint.az/w"}', "success"),
        ('{"status":"","redirect_url":"https://epoint.az/w"}', "success"),
        ('{"status":"error","redirect_url":"https://epoint.az/w"}', "error"),
        ('{"redirect_url":""}', None),
        ('{"redirect_url":null}', None),
        ("{}", None),
    ],
)
def test_page_of_a_wallet_without_a_status_is_open(body: str, status: str | None) -> None:
    """Seen in the wild; but a status that is there counts, and without an address nothing is open."""
    assert read(body.encode(), PAY_WITH_WALLET.reply, PAY_WITH_WALLET.wrap).status == status
    assert read(body.encode(), PAY.reply, PAY.wrap).status == ("error" if status == "error" else None)


def test_refusal_is_no_empty_list() -> None:
    """An object with a status is an error and not a list of nothing."""
    refused = installment_plans('{"status":"error","message":"This service is not available"}')

    assert (refused.plans, refused.status, refused.message) == (None, "error", "This service is not available")


@pytest.mark.parametrize("body", ["7", '"x"', "null", "<html>", ""])
def test_anything_else_is_unreadable(body: str) -> None:
    """It is said to be so, and not taken for an empty list."""
    with pytest.raises(UnreadableError):
        installment_plans(body)
