# SPDX-License-Identifier: Apache-2.0
"""A TCP transfer from one node to another, whose progress can be watched."""
import hashlib, subprocess, sys, threading

from harness import PATIENCE, eventually

SENDER = """
import socket, sys
address, port, megabytes = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
stream = socket.create_connection((address, port), timeout=120)
block = bytes(range(256)) * 256
total = int(megabytes * 1e6)
sent = 0
while sent < total:
    piece = block[: min(len(block), total - sent)]
    stream.sendall(piece)
    sent += len(piece)
    print(sent, flush=True)
stream.shutdown(socket.SHUT_WR)
print("answer", stream.recv(100).decode(), flush=True)
"""
RECEIVER = """
import hashlib, socket, sys
listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("::", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
stream, _ = listener.accept()
digest, count = hashlib.sha256(), 0
while block := stream.recv(1 << 16):
    digest.update(block)
    count += len(block)
    print(count, flush=True)
stream.sendall(f"{count} {digest.hexdigest()}".encode())
"""


class Transfer:
    """A TCP transfer from one node to another, whose progress can be watched."""

    port = 7000

    def __init__(self, source, destination, megabytes):
        Transfer.port += 1
        self.expected = int(megabytes * 1e6)
        self.received = 0
        self.answer = None
        self.receiver = destination.host.spawn(
            sys.executable, "-c", RECEIVER, self.port, stdout=subprocess.PIPE, text=True)
        assert self.receiver.stdout.readline() == "listening\n"
        self.sender = source.host.spawn(
            sys.executable, "-c", SENDER, destination.ip(), self.port, megabytes, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.watch_receiver, daemon=True).start()
        threading.Thread(target=self.watch_sender, daemon=True).start()

    def watch_receiver(self):
        for line in self.receiver.stdout:
            self.received = int(line)

    def watch_sender(self):
        for line in self.sender.stdout:
            if line.startswith("answer"):
                self.answer = line.split()[1:]

    def reach(self, fraction):
        eventually(f"{fraction:.0%} of the transfer arrives", lambda: self.received >= self.expected * fraction,
                   patience=3 * PATIENCE)

    def finish(self):
        eventually("the transfer ends", lambda: self.answer, patience=5 * PATIENCE)
        block = bytes(range(256)) * 256
        digest = hashlib.sha256()
        left = self.expected
        while left:
            digest.update(block[:left] if left < len(block) else block)
            left -= min(left, len(block))
        assert self.answer == [str(self.expected), digest.hexdigest()], self.answer
