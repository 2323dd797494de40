"""llama.cpp's server without a model: ``python -m tests.benchmarks.fake_llama_server KNOWN FILE``.

It knows one text and answers ``/infill`` with the next characters of it, up to the end of the line.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AHEAD = 9


class Infill(BaseHTTPRequestHandler):
    """Answers requests for completions."""

    known = ""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        at = self.known.find((asked["input_prefix"] + asked["prompt"]).lstrip("\n"))
        written = self.known[at + len((asked["input_prefix"] + asked["prompt"]).lstrip("\n")) :] if at >= 0 else "no"
        text = written[:AHEAD].partition("\n")[0]
        answer = {"content": text, "timings": {"prompt_n": 5, "predicted_n": len(text) + 1}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Print nothing."""


def served(known: str) -> ThreadingHTTPServer:
    """A server on a free port, in threads of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Knowing", (Infill,), {"known": known}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> int:
    server = served(sys.argv[1])
    sys.stdout.write(json.dumps({"port": server.server_port}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
