"""Standard input and output as the connection to the client."""

import logging
import os
import sys

from lsp_server.transport.connection import Connection

log = logging.getLogger(__name__)


def claim_standard_streams() -> Connection:
    """Take standard input and output for the protocol, and put harmless streams in their place.

    From now on everything that prints, including native libraries, prints to standard error, and everything that reads
    standard input finds it empty. Raises OSError if one of the two is closed.
    """
    if sys.stdin is None or sys.stdout is None:
        raise OSError("standard input or output is closed")
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)  # takes the free descriptor 2, so that no stream of ours gets it
    elif sys.stdin.isatty():
        log.info("waiting for an editor on standard input; see 'midtoken serve --help'")
    sys.stdout.flush()
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return Connection(source, sink)
