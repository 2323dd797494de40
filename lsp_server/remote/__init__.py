"""The client of a team's service: what leaves this machine, how it is sent, and how a call ends.

`address` checks the address, `outgoing` cuts the request to what may leave, `connection` makes one call. The change to
the local model is in `lsp_server.scheduling.remote_model`.
"""
