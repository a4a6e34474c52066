"""What EPoint says on the wire; no I/O.

Usable on its own, for example to check a webhook in a program that does not run this service:

    from gql_epoint.epoint import read_callback

    callback = read_callback(private_key, request.headers["content-type"], request.body)
    if callback.status == "success":
        ...  # Compare callback.order_id and callback.amount with the order before it is delivered.

It raises SignatureError or UnreadableError, from `gql_epoint.errors`, for anything that EPoint did not send. To
call EPoint, give a row of the operations table and its request to `gql_epoint.gateway.Gateway`.
"""

from gql_epoint.epoint.bank_codes import BANK_CODES, BankCode, FailureCategory, look_up
from gql_epoint.epoint.callback import Callback, read_callback
from gql_epoint.epoint.operations import (
    CAPTURE,
    CARD_STATUS,
    GET_STATUS,
    OPERATIONS,
    PAY,
    PAY_AND_SAVE_CARD,
    PAY_WITH_SAVED_CARD,
    PAYOUT,
    PREAUTHORIZE,
    REFUND,
    SAVE_CARD,
    SPLIT_PAY,
    SPLIT_PAY_AND_SAVE_CARD,
    SPLIT_PAY_WITH_SAVED_CARD,
    CaptureReply,
    CaptureRequest,
    CardStatusReply,
    CardStatusRequest,
    ChargeReply,
    Kind,
    Operation,
    PayAndSaveCardRequest,
    PayoutRequest,
    PayRequest,
    PreauthorizeRequest,
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
    "CAPTURE",
    "CARD_STATUS",
    "GET_STATUS",
    "OPERATIONS",
    "PAY",
    "PAYOUT",
    "PAY_AND_SAVE_CARD",
    "PAY_WITH_SAVED_CARD",
    "PREAUTHORIZE",
    "REFUND",
    "SAVE_CARD",
    "SPLIT_PAY",
    "SPLIT_PAY_AND_SAVE_CARD",
    "SPLIT_PAY_WITH_SAVED_CARD",
    "BankCode",
    "Callback",
    "CaptureReply",
    "CaptureRequest",
    "CardStatusReply",
    "CardStatusRequest",
    "ChargeReply",
    "FailureCategory",
    "Kind",
    "Operation",
    "PayAndSaveCardRequest",
    "PayRequest",
    "PayoutRequest",
    "PreauthorizeRequest",
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
