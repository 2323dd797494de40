"""Bytes in and out: message framing, what waits to be handled and to be sent, standard streams, and TCP.

pygls has all of this. But its reader loses the message after a malformed one, passes a message on before the handler of
the previous one has begun, blocks the event loop while a client does not read, and makes every exit status 0.
"""
