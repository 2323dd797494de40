"""The service of `tests/lsp_server/team_service.py`."""

from tests.lsp_server.team_service import serve

__all__ = ["serve"]
