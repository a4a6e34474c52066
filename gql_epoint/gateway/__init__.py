"""The only HTTP to EPoint: a signed request out, and a typed reply or a precise error back.

    async with Gateway(Merchant(public_key="i000000001", private_key=...)) as gateway:
        reply = await gateway.call(PAY, PayRequest(...))

The errors say whether money can have moved. What a reply's status means is not judged here, and nothing is ever
sent twice. A request is put into HTTP in writing.py, sent by client.py, and what came back, or did not, is read in
answers.py.
"""

from gql_epoint.gateway.client import Gateway
from gql_epoint.gateway.writing import Merchant, Preview

__all__ = ["Gateway", "Merchant", "Preview"]
