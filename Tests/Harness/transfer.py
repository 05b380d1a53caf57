# SPDX-License-Identifier: Apache-2.0
"""A TCP transfer from one node to another, whose progress can be watched."""
import hashlib, signal, subprocess, sys, threading

from harness import PATIENCE, eventually

# Half of it is sent as fast as it goes; then a little at a time, and never the end, until told to go on: what happens
# to the path in between happens to a flow that is alive, however fast the machine is.
SENDER = """
import signal, socket, sys, time
address, port, megabytes = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(True))
print("ready", flush=True)
stream = socket.create_connection((address, port), timeout=120)
block = bytes(range(256)) * 256
total = int(megabytes * 1e6)
sent = 0
while sent < total:
    left, hurried = total - sent, told or sent < total // 2
    if not hurried:
        time.sleep(0.01)
        if left <= len(block):
            continue
    begin = sent % 256
    piece = block[begin : begin + min(len(block) - begin if hurried else 256, left)]
    stream.sendall(piece)
    sent += len(piece)
stream.shutdown(socket.SHUT_WR)
print("answer", stream.makefile().read(), flush=True)
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
        assert self.sender.stdout.readline() == "ready\n"
        threading.Thread(target=self.watch_receiver, daemon=True).start()
        threading.Thread(target=self.watch_sender, daemon=True).start()

    def watch_receiver(self):
        for line in self.receiver.stdout:
            self.received = int(line)

    def watch_sender(self):
        for line in self.sender.stdout:
            if line.startswith("answer"):
                self.answer = line.split()[1:]

    def reach_half(self):
        """Waits until as much has arrived as is sent in a hurry."""
        eventually("half of the transfer arrives", lambda: self.received >= self.expected // 2, patience=3 * PATIENCE)

    def finish(self):
        """Lets the rest go, and compares what has arrived."""
        self.sender.send_signal(signal.SIGUSR1)
        eventually("the transfer ends", lambda: self.answer, patience=5 * PATIENCE)
        whole = bytes(range(256)) * (self.expected // 256 + 1)
        digest = hashlib.sha256(memoryview(whole)[: self.expected])
        assert self.answer == [str(self.expected), digest.hexdigest()], self.answer
