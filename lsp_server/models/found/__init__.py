"""The stores of other programs, one module each. Layouts and variables as these programs document them."""

from lsp_server.models.entries import Findings
from lsp_server.models.found import hugging_face, llama_cpp, lm_studio, ollama
from lsp_server.models.machine import Machine


def find_models(machine: Machine) -> Findings:
    """All that other programs keep on this machine."""
    findings = Findings()
    for store in (ollama, lm_studio, llama_cpp, hugging_face):
        findings += store.find(machine)
    return findings
