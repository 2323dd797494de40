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


def test_only_a_package_of_ours_is_trusted_and_each_of_them_speaks():
    stream = io.StringIO()
    with logging_to(stream):
        for name in ("engineio.server", "lsp_server_of_others", "engines", ""):
            logging.getLogger(name).warning("it says %s", SECRET)
        for name in ("engine.text.tokenizer", "engine", "lsp_server"):
            logging.getLogger(name).info("it says %s", "this")
    lines = stream.getvalue().splitlines()
    assert lines == ["midtoken warning: it says %s"] * 4 + ["midtoken info: it says this"] * 3


def test_an_exception_tells_its_message_only_if_it_is_ours():
    assert describe(raised(RequestError("top_p is 7"))) == "top_p is 7"
    assert describe(raised(KeyError(SECRET))).startswith("KeyError at raised:")
    assert describe(KeyError(SECRET)) == "KeyError"


def test_nothing_is_left_behind():
    names = ("", "lsp_server", "engine", "pygls")
    before = [(list(logger.handlers), logger.level) for logger in map(logging.getLogger, names)]
    with logging_to(io.StringIO()):
        pass
    assert [(list(logger.handlers), logger.level) for logger in map(logging.getLogger, names)] == before
