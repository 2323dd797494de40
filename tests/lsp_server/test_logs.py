import io
import logging

from engine import RequestError
from lsp_server.logs import describe, logging_to

SECRET = "password = 'hunter2'"


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_our_lines_are_written_whole_and_those_of_others_without_arguments():
    stream = io.StringIO()
    with logging_to(stream):
        logging.getLogger("lsp_server.x").info("loaded %s", "it")
        logging.getLogger("pygls.protocol").warning("Unknown\nmessage %s", SECRET)
        logging.getLogger("pygls.protocol").info("Sending data: %s", SECRET)
        logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=raised(ValueError(SECRET)))
        logging.getLogger("pygls.protocol").warning('Cancel notification for unknown message id "%s"', 3)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["midtoken info: loaded it", "midtoken warning: Unknown message %s"]
    assert lines[2].startswith("midtoken error: Task exception was never retrieved (ValueError at raised:")
    assert len(lines) == 3


def test_an_exception_tells_its_message_only_if_it_is_ours():
    assert describe(raised(RequestError("top_p is 7"))) == "top_p is 7"
    assert describe(raised(KeyError(SECRET))).startswith("KeyError at raised:")
    assert describe(KeyError(SECRET)) == "KeyError"


def test_nothing_is_left_behind():
    before = list(logging.getLogger().handlers)
    with logging_to(io.StringIO()):
        pass
    assert logging.getLogger().handlers == before
