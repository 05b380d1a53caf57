# SPDX-License-Identifier: Apache-2.0
"""A small TURN client (RFC 8656, UDP): an address that a relay lends, which answers requests.

The Rust client accepts no TCP from its network; the relay that it runs for WebRTC takes datagrams there, so a page
can be asked of it as UPnP asks for one: an HTTP request in a datagram."""
import hashlib, hmac, os, socket, struct

COOKIE = 0x2112A442
ALLOCATE, PERMIT, SEND, DATA = 0x0003, 0x0008, 0x0016, 0x0017
USERNAME, INTEGRITY, PEER, CONTENT, REALM, NONCE, RELAYED, TRANSPORT = 6, 8, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def message(kind, attributes, key=None):
    head = lambda length: struct.pack("!HHI", kind, length, COOKIE) + identifier
    identifier = os.urandom(12)
    if key is None:
        return head(len(attributes)) + attributes
    signed = head(len(attributes) + 24) + attributes
    return signed + attribute(INTEGRITY, hmac.new(key, signed, hashlib.sha1).digest())


def parsed(packet):
    kind, length, _ = struct.unpack("!HHI", packet[:8])
    found, rest = {}, packet[20:20 + length]
    while len(rest) >= 4:
        name, size = struct.unpack("!HH", rest[:4])
        found[name] = rest[4:4 + size]
        rest = rest[4 + size + -size % 4:]
    return kind, found


def address(value):
    port, number = struct.unpack("!HI", value[2:8])
    return socket.inet_ntoa(struct.pack("!I", number ^ COOKIE)), port ^ (COOKIE >> 16)


def encoded(host, port):
    number, = struct.unpack("!I", socket.inet_aton(host))
    return struct.pack("!BBHI", 0, 1, port ^ (COOKIE >> 16), number ^ COOKIE)


class Listener:
    """An address that the relay at `server` lends to us, open to `peer`."""

    def __init__(self, server, username, password, peer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.connect(server)
        wanted = attribute(TRANSPORT, bytes([17, 0, 0, 0]))
        kind, refused = self.ask(message(ALLOCATE, wanted))
        assert kind == ALLOCATE | 0x0110, f"an allocation without a password was answered with {kind:#x}"
        key = hashlib.md5(f"{username}:{refused[REALM].decode()}:{password}".encode()).digest()
        login = (attribute(USERNAME, username.encode()) + attribute(REALM, refused[REALM])
                 + attribute(NONCE, refused[NONCE]))
        kind, allocated = self.ask(message(ALLOCATE, wanted + login, key))
        assert kind == ALLOCATE | 0x0100, f"the allocation was answered with {kind:#x}: {allocated}"
        self.address = address(allocated[RELAYED])
        kind, told = self.ask(message(PERMIT, attribute(PEER, encoded(peer, 0)) + login, key))
        assert kind == PERMIT | 0x0100, f"the permission was answered with {kind:#x}: {told}"
        self.socket.settimeout(None)

    def ask(self, packet):
        self.socket.send(packet)
        return parsed(self.socket.recv(2048))

    def serve(self, page):
        """Answers every HTTP request that comes in a datagram, for ever."""
        while True:
            kind, found = parsed(self.socket.recv(65535))
            if kind != DATA or not found.get(CONTENT, b"").startswith(b"GET "):
                continue
            reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
            self.socket.send(message(SEND, attribute(PEER, found[PEER]) + attribute(CONTENT, reply)))
