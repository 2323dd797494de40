import pytest
from lsprotocol import types

from lsp_server.documents.documents import Document
from lsp_server.scheduling.model import ModelHost
from lsp_server.scheduling.scheduler import Scheduler
from lsp_server.scheduling.worker import ModelThread
from lsp_server.state import Client, ServerState
from tests.lsp_server.fakes import FakeCompleter


@pytest.fixture
def state():
    thread = ModelThread()
    yield ServerState(ModelHost(thread, FakeCompleter().load), Scheduler(thread))
    assert thread.stop(timeout_s=5)


def test_a_client_that_says_nothing_can_nothing():
    assert Client.of(types.ClientCapabilities()) == Client("utf-16", False, False, False)


def test_messages_are_new_once(state):
    assert state.unreported(["a", "b", "a"]) == ("a", "b")
    assert state.unreported(["b", "c"]) == ("c",)


def test_the_documents_changed_last_come_first(state):
    for name in ("a", "b", "c", "a"):
        state.put(Document.create(name, "python", 1, ""))
    assert [document.uri for document in state.neighbours(state.documents["c"]).others] == ["a", "b"]
    state.remove("b")
    state.remove("b")
    assert [document.uri for document in state.neighbours(state.documents["c"]).others] == ["a"]


def test_options_of_the_start_lie_under_the_configuration(state):
    state.begin(types.ClientCapabilities(), {"budgetMs": 1, "topP": 0.5})
    assert state.settings.budget_ms == 1
    assert state.configure({"budgetMs": 2}) == ()
    assert (state.settings.budget_ms, state.settings.top_p) == (2, 0.5)
    assert state.configure(None) == ()
    assert state.settings.budget_ms == 1
