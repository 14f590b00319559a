"""A TCP proxy between a node and the SuperLink: counts bytes, and can play a broken line."""

import socket
import threading
from contextlib import suppress

_BLOCK = 1 << 16
HOST = "127.0.0.1"


class CountingProxy:
    """Forwards connections to a port of this machine; TLS passes through it untouched.

    Args:
        target: port to forward to.
    """

    def __init__(self, target: int) -> None:
        self.sent = 0
        """Bytes from the node to the SuperLink."""
        self.received = 0
        """Bytes from the SuperLink to the node."""
        self.connections = 0
        """Connections that the node opened."""
        self.cut = False
        """While set, connections are refused."""
        self._target = target
        self._lock = threading.Lock()
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                node, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            try:
                if self.cut:
                    raise OSError("the line is cut")
                link = socket.create_connection((HOST, self._target))
            except OSError:
                node.close()
                continue
            for source, sink, name in ((node, link, "sent"), (link, node, "received")):
                threading.Thread(target=self._copy, args=(source, sink, name), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, name: str) -> None:
        with suppress(OSError):
            while block := source.recv(_BLOCK):
                if self.cut:
                    break
                with self._lock:
                    setattr(self, name, getattr(self, name) + len(block))
                sink.sendall(block)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
