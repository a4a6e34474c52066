"""What EPoint says on the wire; no I/O.

Usable on its own, for example to check a webhook in a program that does not run this service:

    from gql_epoint.epoint import read_callback

    callback = read_callback(private_key, request.headers["content-type"], request.body)
    if callback.status == "success":
        ...  # Compare callback.order_id and callback.amount with the order before it is delivered.

It raises SignatureError or UnreadableError, from `gql_epoint.errors`, for anything that EPoint did not send. To
call EPoint, give a row of the operations table and its request to `gql_epoint.gateway.Gateway`.
"""

from gql_epoint.epoint.b2b import (
    BUSINESS_TRANSFER,
    BUSINESS_TRANSFER_STATUS,
    B2BPaymentReply,
    B2BPaymentRequest,
    B2BStatusReply,
    B2BStatusRequest,
)
from gql_epoint.epoint.bank_codes import BANK_CODES, BankCode, FailureCategory, look_up
from gql_epoint.epoint.callback import Callback, read_callback
from gql_epoint.epoint.operations import (
    CARD_STATUS,
    GET_STATUS,
    OPERATIONS,
    PAY,
    PAY_AND_SAVE_CARD,
    PAY_WITH_SAVED_CARD,
    PAYOUT,
    REFUND,
    SAVE_CARD,
    SPLIT_PAY,
    SPLIT_PAY_AND_SAVE_CARD,
    SPLIT_PAY_WITH_SAVED_CARD,
    CardStatusReply,
    CardStatusRequest,
    ChargeReply,
    Kind,
    Operation,
    PayAndSaveCardRequest,
    PayoutRequest,
    PayRequest,
    RedirectReply,
    RefundReply,
    RefundRequest,
    Reply,
    Request,
    SaveCardRequest,
    SavedCardPayRequest,
    SplitPayAndSaveCardRequest,
    SplitPayRequest,
    SplitSavedCardPayRequest,
    StatusReply,
    StatusRequest,
    encode_payload,
)
from gql_epoint.epoint.signing import Sealed, seal, sign, unseal

__all__ = [
    "BANK_CODES",
    "BUSINESS_TRANSFER",
    "BUSINESS_TRANSFER_STATUS",
    "CARD_STATUS",
    "GET_STATUS",
    "OPERATIONS",
    "PAY",
    "PAYOUT",
    "PAY_AND_SAVE_CARD",
    "PAY_WITH_SAVED_CARD",
    "REFUND",
    "SAVE_CARD",
    "SPLIT_PAY",
    "SPLIT_PAY_AND_SAVE_CARD",
    "SPLIT_PAY_WITH_SAVED_CARD",
    "B2BPaymentReply",
    "B2BPaymentRequest",
    "B2BStatusReply",
    "B2BStatusRequest",
    "BankCode",
    "Callback",
    "CardStatusReply",
    "CardStatusRequest",
    "ChargeReply",
    "FailureCategory",
    "Kind",
    "Operation",
    "PayAndSaveCardRequest",
    "PayRequest",
    "PayoutRequest",
    "RedirectReply",
    "RefundReply",
    "RefundRequest",
    "Reply",
    "Request",
    "SaveCardRequest",
    "SavedCardPayRequest",
    "Sealed",
    "SplitPayAndSaveCardRequest",
    "SplitPayRequest",
    "SplitSavedCardPayRequest",
    "StatusReply",
    "StatusRequest",
    "encode_payload",
    "look_up",
    "read_callback",
    "seal",
    "sign",
    "unseal",
]
