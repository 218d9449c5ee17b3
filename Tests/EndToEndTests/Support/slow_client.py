#!/usr/bin/python3
"""Asks for a dump and does not read it until its standard input ends.

usage: slow_client.py SOCKET
"""

import json
import socket
import sys

client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
client.connect(sys.argv[1])
client.sendall(b"GET /v1/dump HTTP/1.1\r\nHost: letter\r\n\r\n")
first = client.recv(1)
print(json.dumps({"first": first.decode()}), flush=True)
sys.stdin.read()
print(json.dumps({"done": True}), flush=True)
