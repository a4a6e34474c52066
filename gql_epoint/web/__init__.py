"""How the service is reached: GraphQL over HTTP, SSE and WebSocket, EPoint's callbacks, health and metrics.

app.py puts everything together and is the place to begin. A GraphQL request is read in asking.py, its caller found
in visitors.py, and it is answered by graphql.py, or by streams.py (SSE) and sockets.py (WebSocket) if it goes on.
EPoint calls webhook.py and transfer_webhook.py. What stands around all of them is middleware, a file each.
"""
