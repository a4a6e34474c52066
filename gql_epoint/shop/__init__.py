"""A demo shop beside the sandbox: a backend with a secret key, and pages with a client token.

It imports no other part of the package on purpose. All it knows of the service is an address and a key, and all it
says to it is GraphQL over HTTP, like the shop that you are going to write. `static/checkout.js` is to be copied.
"""

from gql_epoint.shop.server import running
from gql_epoint.shop.settings import ShopSettings

__all__ = ["ShopSettings", "running"]
