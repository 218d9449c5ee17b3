"""The daemon's control socket from Python: HTTP/1.1 and JSON over a Unix socket, standard library only."""

import http.client
import json
import socket


class Control(http.client.HTTPConnection):
    """One connection, kept open between requests."""

    def __init__(self, path, timeout=30):
        super().__init__("letter", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, target, body=None):
        """The answer's JSON; ends the script on any other status than 200."""
        data = None if body is None else json.dumps(body)
        self.request(method, target, data, {"Content-Type": "application/json"} if data else {})
        response = self.getresponse()
        text = response.read()
        if response.status != 200:
            raise SystemExit(f"{method} {target}: {response.status} {text.decode(errors='replace')}")
        return json.loads(text)
