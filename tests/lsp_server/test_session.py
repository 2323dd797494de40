import pytest
from lsprotocol import types

from lsp_server.documents.documents import Document
from lsp_server.scheduling.model import ModelHost
from lsp_server.scheduling.scheduler import Scheduler
from lsp_server.scheduling.worker import ModelThread
from lsp_server.session import Client, Session
from tests.lsp_server.fakes import FakeCompleter


@pytest.fixture
def session():
    thread = ModelThread()
    yield Session(ModelHost(thread, FakeCompleter().load), Scheduler(thread))
    assert thread.stop(timeout_s=5)


def test_a_client_that_says_nothing_can_nothing():
    assert Client.of(types.ClientCapabilities()) == Client("utf-16", False, False, False)


def test_messages_are_new_once(session):
    assert session.unreported(["a", "b", "a"]) == ("a", "b")
    assert session.unreported(["b", "c"]) == ("c",)


def test_the_documents_changed_last_come_first(session):
    for name in ("a", "b", "c", "a"):
        session.put(Document.create(name, "python", 1, ""))
    assert [document.uri for document in session.neighbours(session.documents["c"]).others] == ["a", "b"]
    session.remove("b")
    session.remove("b")
    assert [document.uri for document in session.neighbours(session.documents["c"]).others] == ["a"]


def test_options_of_the_start_lie_under_the_configuration(session):
    session.begin(types.ClientCapabilities(), {"budgetMs": 1, "topP": 0.5})
    assert session.settings.budget_ms == 1
    assert session.configure({"budgetMs": 2}) == ()
    assert (session.settings.budget_ms, session.settings.top_p) == (2, 0.5)
    assert session.configure(None) == ()
    assert session.settings.budget_ms == 1
