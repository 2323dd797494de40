"""Bytes in and out: message framing, what waits to be handled and to be sent, standard streams, and TCP.

pygls has all of this, but its reader loses the message after a malformed one, hands a message on before the handler of
the one before it has begun, blocks the event loop while a client does not read, and turns every exit status into 0.
"""
