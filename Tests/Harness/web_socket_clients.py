# SPDX-License-Identifier: Apache-2.0
"""Clients in a browser's way: DERP and the coordination protocol over WebSockets, by other people's libraries.

Runs inside an environment that holds PACKAGES: `python web_socket_clients.py derp|control|admitted|steady ARGUMENTS`.
"""
import base64, json, os, ssl, struct, sys, time, urllib.parse, urllib.request

PACKAGES = ("websockets==15.0.1", "pynacl==1.6.2", "noiseprotocol==0.3.1", "cryptography==50.0.2", "h2==4.4.1")
MAGIC = b"DERP\xf0\x9f\x94\x91"


def connect(url, name):
    from websockets.sync.client import connect as dial
    context = None
    if url.startswith("wss:"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return dial(url, subprotocols=[name], ssl=context, compression=None, max_size=None, proxy=None)


class Bytes:
    """The stream of bytes that binary messages carry."""

    def __init__(self, socket):
        self.socket, self.waiting = socket, b""

    def read(self, count):
        while len(self.waiting) < count:
            self.waiting += self.socket.recv(timeout=30)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def some(self):
        if self.waiting:
            return self.read(len(self.waiting))
        return self.socket.recv(timeout=30)


class Relayed:
    """A client of the relay."""

    def __init__(self, url, secret=None):
        from nacl.public import Box, PrivateKey, PublicKey
        self.socket = connect(url, "derp")
        self.bytes = Bytes(self.socket)
        self.secret = PrivateKey(bytes.fromhex(secret)) if secret else PrivateKey.generate()
        self.key = bytes(self.secret.public_key)
        kind, body = self.frame()
        assert kind == 1 and body[:8] == MAGIC, (kind, body)
        box = Box(self.secret, PublicKey(body[8:40]))
        self.say(2, self.key + bytes(box.encrypt(json.dumps({"version": 2, "CanAckPings": True}).encode())))
        kind, body = self.frame()
        assert kind == 3, kind
        self.info = json.loads(box.decrypt(body))

    def frame(self):
        kind, length = struct.unpack(">BI", self.bytes.read(5))
        return kind, self.bytes.read(length)

    def say(self, kind, body):
        self.socket.send(struct.pack(">BI", kind, len(body)) + body)

    def packet(self):
        while True:
            kind, body = self.frame()
            if kind == 5:
                return body[:32], body[32:]


def derp(url):
    """Two clients exchange packets of all sizes, in whole messages, fragments and pieces of frames."""
    a, b = Relayed(url), Relayed(url)
    for size in (0, 1, 125, 126, 1400, 65535, 65536):
        packet = os.urandom(size)
        a.say(4, b.key + packet)
        source, received = b.packet()
        assert (source, received) == (a.key, packet), size
    frame = struct.pack(">BI", 4, 32 + 3000) + b.key + bytes(range(250)) * 12
    a.socket.send([frame[:3], frame[3:40], b"", frame[40:]])
    assert b.packet()[1] == bytes(range(250)) * 12
    for byte in frame[:64]:
        a.socket.send(bytes([byte]))
    a.socket.send(frame[64:])
    assert b.packet()[1] == bytes(range(250)) * 12
    assert a.socket.ping(b"there?").wait(30)
    a.say(0x12, b"12345678")
    assert a.frame() == (0x13, b"12345678")
    a.socket.close(1000, "done")
    assert a.socket.close_code == 1000, a.socket.close_code
    kind, body = b.frame()
    assert kind == 8 and body == a.key + b"\0", (kind, body)
    b.socket.send("text")
    try:
        while True:
            b.socket.recv(timeout=30)
    except Exception as error:
        assert getattr(error, "rcvd", None) is not None and error.rcvd.code == 1003, repr(error)
    print("good")


def admitted(url, secret):
    """Says whether the relay admits the owner of a key."""
    from websockets.exceptions import ConnectionClosed
    try:
        client = Relayed(url, secret)
        client.say(4, client.key + b"to myself")
        assert client.packet() == (client.key, b"to myself")
        print("admitted", json.dumps(client.info))
    except ConnectionClosed:
        print("refused")


def steady(url, end):
    """Exchanges packets until a file appears; says how many."""
    a, b = Relayed(url), Relayed(url)
    print("connected", flush=True)
    count = 0
    while not os.path.exists(end) or count < 20:
        packet = count.to_bytes(8, "big") * 100
        a.say(4, b.key + packet)
        assert b.packet() == (a.key, packet), count
        count += 1
        time.sleep(0.005)
    print(count)


def control(url, auth_key, hostname, secret=None):
    """Registers a node: Noise over a WebSocket, records, HTTP/2 in them."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from h2.connection import H2Connection
    from h2.config import H2Configuration
    from h2 import events
    from nacl.public import PrivateKey
    from noise.connection import Keypair, NoiseConnection
    version = 130
    with urllib.request.urlopen(f"{url}/key?v={version}") as answer:
        server = bytes.fromhex(json.load(answer)["publicKey"].removeprefix("mkey:"))
    noise = NoiseConnection.from_name(b"Noise_IK_25519_ChaChaPoly_BLAKE2s")
    noise.set_as_initiator()
    noise.set_prologue(f"Tailscale Control Protocol v{version}".encode())
    noise.set_keypair_from_private_bytes(Keypair.STATIC, bytes(PrivateKey.generate()))
    noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, server)
    noise.start_handshake()
    first = noise.write_message()
    initiation = struct.pack(">HBH", version, 1, len(first)) + first
    query = urllib.parse.urlencode({"X-Tailscale-Handshake": base64.b64encode(initiation).decode()})
    socket = connect(f"{url.replace('http', 'ws', 1)}/ts2021?{query}", "tailscale-control-protocol")
    stream = Bytes(socket)
    kind, length = struct.unpack(">BH", stream.read(3))
    assert (kind, length) == (2, 48), (kind, length)
    noise.read_message(stream.read(48))
    ours = ChaCha20Poly1305(noise.noise_protocol.cipher_state_encrypt.k)
    theirs = ChaCha20Poly1305(noise.noise_protocol.cipher_state_decrypt.k)
    sent = received = 0

    def send(data):
        nonlocal sent
        while data:
            sealed = ours.encrypt(struct.pack(">4xQ", sent), data[:4077], b"")
            socket.send(struct.pack(">BH", 4, len(sealed)) + sealed)
            sent, data = sent + 1, data[4077:]

    def receive():
        nonlocal received
        kind, length = struct.unpack(">BH", stream.read(3))
        assert kind == 4, kind
        received += 1
        return theirs.decrypt(struct.pack(">4xQ", received - 1), stream.read(length), b"")

    http = H2Connection(config=H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    node = PrivateKey(bytes.fromhex(secret)) if secret else PrivateKey.generate()
    body = json.dumps({
        "Version": version, "NodeKey": "nodekey:" + bytes(node.public_key).hex(),
        "Auth": {"AuthKey": auth_key}, "Hostinfo": {"Hostname": hostname, "OS": "js"}}).encode()
    http.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", "control"),
                          (":path", "/machine/register"), ("content-length", str(len(body)))])
    http.send_data(1, body, end_stream=True)
    send(http.data_to_send())
    # No key for a challenge comes first here: the first record is HTTP/2.
    status, answer, first = None, b"", True
    while True:
        record = receive()
        assert not (first and record.startswith(b"\xff\xff\xffTS")), "an early payload over a WebSocket"
        first = False
        for event in http.receive_data(record):
            if isinstance(event, events.ResponseReceived):
                status = dict(event.headers)[":status"]
            elif isinstance(event, events.DataReceived):
                answer += event.data
            elif isinstance(event, events.StreamEnded):
                print(json.dumps({"status": int(status), "answer": json.loads(answer)}))
                return socket.close()
        send(http.data_to_send())


if __name__ == "__main__":
    {"derp": derp, "control": control, "admitted": admitted, "steady": steady}[sys.argv[1]](*sys.argv[2:])
