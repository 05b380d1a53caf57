#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients (the Go client inside Caddy, and one in Rust) join our server and talk through our relay.

Everything runs in network namespaces that are made and removed here; no packet leaves them.
"""
import base64, contextlib, hashlib, pathlib, sys, threading, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Control, eventually, main, require_programs, require_root, require_tool, run, scratch, test
from stock import Network, RustClient, Stock, caddy, no_direct_path


class World:
    def __init__(self, directory):
        self.directory = directory
        self.network = Network()
        self.stock = {}
        self.control = None

    def client(self, name, peer, key):
        if name not in self.stock:
            host = self.network.hosts["a" if name.endswith("a") else "b"]
            self.stock[name] = Stock(host, self.directory, name, self.control, key, peer).start()
        return self.stock[name]

    def pair(self):
        key = self.control.key("--reusable", "--expiration", "1h")
        return self.client("caddya", "caddyb", key), self.client("caddyb", "caddya", key)

    def node(self, name):
        return next((node for node in self.control.nodes() if node["given_name"] == name), None)

    def explain(self):
        print(f"--- martlet-control\n{self.control.daemon.tail(40)}\n{self.control.call('nodes', 'list', '--output', 'json-line', check=False).stdout}", flush=True)
        for client in self.stock.values():
            print(f"--- {client.name}\n{client.tail()}", flush=True)


def crowd(control, count=140):
    """So many others that the server puts whole maps together of parts, each a compressed frame of its own."""
    for number in range(count):
        key = base64.b64encode(hashlib.sha256(b"%d" % number).digest()).decode()
        control.call("nodes", "add-wireguard", "--user", control.user() if number == 0 else "alice", "--name",
                     f"crowd{number}", "--public-key", key, "--endpoint", f"192.0.2.{1 + number % 250}:51820")


@contextlib.contextmanager
def world():
    require_programs("martlet-control")
    require_root()
    require_tool("ip", "curl", "nft")
    caddy()
    with scratch("martlet-peers-") as directory:
        made = World(directory)
        made.network.up()
        try:
            server = made.network.hosts["server"]
            made.control = Control(server, directory / "control", "10.99.0.1").start()
            crowd(made.control)
            yield made
        finally:
            made.network.down()


@test("two stock clients join with a key, get names and addresses, and are online")
def join(world):
    world.pair()
    for name in ("caddya", "caddyb"):
        node = eventually(f"{name} is online", lambda: (world.node(name) or {}).get("online") and world.node(name))
        assert node["ip_addresses"][0].startswith("100."), node
        assert node["register_method"] == "REGISTER_METHOD_AUTH_KEY", node


@test("they exchange HTTP, each the other's server")
def exchange(world):
    a, b = world.pair()
    assert eventually("a reaches b", a.asks_its_peer) == "hello from caddyb"
    assert eventually("b reaches a", b.asks_its_peer) == "hello from caddya"


@test("they exchange HTTP through our relay when every direct path is closed")
def relayed(world):
    a, b = world.pair()
    with no_direct_path(world.network):
        assert eventually("a reaches b", a.asks_its_peer) == "hello from caddyb"
        assert eventually("b reaches a", b.asks_its_peer) == "hello from caddya"


@test("a client in Rust joins too, and fetches a page from the one in Go, directly and through our relay")
def rust(world):
    a, _ = world.pair()
    address = eventually("a is online", lambda: (world.node("caddya") or {}).get("ip_addresses"))[0]
    client = RustClient(world.network.hosts["b"], world.directory, "rusty", world.control, world.control.key(), address)
    try:
        assert world.node("rusty")["ip_addresses"] == client.addresses, client.addresses
        assert eventually("the Rust client reaches a", client.fetches) == "hello from caddya"
        with no_direct_path(world.network):
            assert eventually("the Rust client reaches a", client.fetches) == "hello from caddya"
        world.control.call("nodes", "expire", world.node("rusty")["id"])
        eventually("it no longer does once its key has ended", lambda: client.fetches() is None)
    finally:
        client.stop()
        world.control.call("nodes", "delete", "--force", "rusty", check=False)


@test("a rename, and the end of a node, reach the other at once")
def deltas(world):
    a, b = world.pair()
    eventually("a reaches b", a.asks_its_peer)
    node = world.node("caddyb")
    world.control.call("nodes", "rename", node["id"], "renamed")
    world.control.call("nodes", "rename", node["id"], "caddyb")
    eventually("a still reaches b", a.asks_its_peer)
    world.control.call("nodes", "expire", node["id"])
    eventually("a no longer reaches b", lambda: a.asks_its_peer() is None)
    eventually("the relay lets b go", lambda: Network.HOSTS["b"] not in world.network.hosts["server"].run(
        "ss", "-Htn", "state", "established", "( sport = :8443 )").stdout)
    world.control.call("nodes", "expire", node["id"], "--never")
    eventually("a reaches b again", a.asks_its_peer)


@test("a stock client answers what an administrator asks it, and says so where it does not know the address")
def asked(world):
    a, _ = world.pair()
    eventually("a is online", lambda: (world.node("caddya") or {}).get("online"))
    echo = world.control.call("nodes", "ask", "--method", "POST", "--body", "who is there", "caddya", "/echo").stdout
    assert echo == "who is there\n", echo
    for _ in range(2):
        assert "\"ControlURL\"" in world.control.call("nodes", "ask", "caddya", "/debug/prefs").stdout
    refused = world.control.call("nodes", "ask", "caddya", "/nothing-here", check=False)
    assert refused.returncode == 1 and "status 4" in refused.stderr, (refused.stdout, refused.stderr)


@test("they lose and gain access within a second of a change of the policy, while they talk")
def access(world):
    a, b = world.pair()
    eventually("a reaches b", a.asks_its_peer)
    answers, stop = [], threading.Event()

    def talk():
        while not stop.is_set():
            begun = time.monotonic()
            done = a.host.run("curl", "-s", "--fail", "--max-time", "0.4", "http://127.0.0.1:9080/hello", check=False)
            answers.append((begun, time.monotonic(), done.returncode == 0))

    def put(text):
        path = world.directory / "policy.hujson"
        path.write_text(text)
        begun = time.monotonic()
        world.control.call("policy", "set", path)
        return begun

    talking = threading.Thread(target=talk, daemon=True)
    talking.start()
    try:
        closed = put('{"grants": []}')
        eventually("a no longer reaches b", lambda: len(answers) > 5 and not any(ok for _, _, ok in answers[-5:]))
        last = max((end for _, end, ok in answers if ok), default=closed)
        opened = put('{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}')
        eventually("a reaches b again", lambda: answers[-1][2])
        first = min(begun for begun, end, ok in answers if ok and end > opened)
        print(f"    lost {last - closed:.2f} s after the change, gained {first - opened:.2f} s after it", flush=True)
        # A second, and one more for a machine that has much else to do.
        assert last - closed < 1 + 1, "it talked on"
        assert first - opened < 1 + 1, "it came late"
    finally:
        stop.set()
        talking.join()


@test("the clients outlive a restart of the server, even by kill -9")
def restart(world):
    a, b = world.pair()
    eventually("a reaches b", a.asks_its_peer)
    before = {node["id"]: node["ip_addresses"] for node in world.control.nodes()}
    world.control.daemon.kill()
    world.control.start()
    after = {node["id"]: node["ip_addresses"] for node in world.control.nodes()}
    assert before == after, (before, after)
    for name in ("caddya", "caddyb"):
        eventually(f"{name} is back", lambda: (world.node(name) or {}).get("online"))
    eventually("a reaches b", a.asks_its_peer)


@test("a stock client joins over TLS with the certificate of an authority of its own")
def secure(world):
    server = world.network.hosts["server"]
    directory = world.directory / "secure"
    directory.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=10.99.0.1", "-addext", "subjectAltName=IP:10.99.0.1", "-keyout", directory / "key.pem",
        "-out", directory / "cert.pem")
    control = Control(server, directory / "control", "10.99.0.1", port=8444, relay=False, extra=[
        "--tls-cert", directory / "cert.pem", "--tls-key", directory / "key.pem"])
    control.daemon.arguments = [part.replace("http://", "https://") for part in control.daemon.arguments]
    control.url = control.url.replace("http://", "https://")
    control.start()
    client = Stock(world.network.hosts["a"], directory, "securea", control, control.key(), "nobody", port=9082)
    try:
        client.start(SSL_CERT_FILE=str(directory / "cert.pem"))
        eventually("it is online", lambda: any(node["online"] for node in control.nodes()))
    finally:
        client.stop()
        control.daemon.stop()


@test("a stock client without a key joins only after an administrator approves")
def interactive(world):
    name = "visitora"
    client = Stock(world.network.hosts["a"], world.directory, name, world.control, None, "caddyb", port=9081).start()
    try:
        login = eventually("the login waits", lambda: world.control.json("auth", "list"))[0]
        assert world.node(name) is None
        page = world.network.hosts["a"].run("curl", "-s", f"{world.control.url}/register/{login['id']}").stdout
        assert f"martlet-control auth approve {login['id']}" in page, page
        world.control.call("auth", "approve", login["id"], "--user", world.control.user())
        eventually(f"{name} is online", lambda: (world.node(name) or {}).get("online"))
    finally:
        client.stop()


if __name__ == "__main__":
    main(world)
