#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our node against independent implementations: stock clients on our network, and plain WireGuard.

Everything runs in network namespaces that are made and removed here; no packet leaves them.
"""
import contextlib, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Control, Node, Skip, eventually, main, require_programs, require_root, require_tool, run, scratch, test
from stock import Network, RustClient, Stock, caddy, no_direct_path

ASK = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(3)
asking.sendto(b"GET /hello HTTP/1.1\\r\\nHost: rusty\\r\\n\\r\\n", (sys.argv[1], int(sys.argv[2])))
sys.stdout.buffer.write(asking.recv(2048))
"""


class World:
    def __init__(self, directory):
        self.directory = directory
        self.network = Network()
        self.control = self.node = self.go = None

    def start(self):
        self.network.up()
        self.control = Control(self.network.hosts["server"], self.directory / "control", "10.99.0.1").start()
        host = self.network.hosts["b"]
        self.node = Node(host, self.directory / "ours").start()
        self.node.up(self.control, None, "--hostname", "ours")
        host.tcp_serve(8080, reply="hello from ours")

    def stock(self):
        if self.go is None:
            caddy()
            self.go = Stock(self.network.hosts["a"], self.directory, "caddya", self.control, self.control.key(), "ours")
            self.go.start()
        return self.go

    def listed(self, name):
        return next((node for node in self.control.nodes() if node["given_name"] == name), None)

    def address(self, name):
        return eventually(f"{name} is online", lambda: (self.listed(name) or {}).get("online") and
                          self.listed(name)["ip_addresses"][0])

    def fetch(self, address, path="/hello"):
        """A page, as a program on our node's host gets it."""
        done = self.node.host.run("curl", "-s", "--fail", "--max-time", "5", f"http://{address}:8080{path}", check=False)
        return done.stdout if done.returncode == 0 else None

    def asks(self, address):
        """The body of an HTTP answer that comes in a datagram, as one does to the question."""
        host, _, port = address.rpartition(":")
        done = self.node.host.run("python3", "-c", ASK, host, port, check=False)
        return done.stdout.partition("\n\n")[2] or None

    def sent(self):
        """Bytes that our node sent, by kind of path."""
        counted = {"direct": 0, "derp": 0}
        for name, value in self.node.metrics().items():
            if "outbound_bytes_total" in name:
                counted["direct" if "direct" in name else "derp"] += value
        return counted

    def explain(self):
        print(f"--- martlet-control\n{self.control.daemon.tail(12)}\n--- martletd\n{self.node.daemon.tail(20)}", flush=True)
        if self.go:
            print(f"--- caddya\n{self.go.tail()}", flush=True)


@contextlib.contextmanager
def world():
    require_programs("martlet-control", "martletd", "martlet")
    require_root()
    require_tool("ip", "curl", "nft")
    with scratch("martlet-ours-") as directory:
        made = World(directory)
        try:
            made.start()
            yield made
        finally:
            made.network.down()


@test("our node and the stock Go client exchange HTTP both ways over a direct path")
def go_direct(world):
    stock = world.stock()
    address = world.address("caddya")
    assert eventually("we reach the stock client", lambda: world.fetch(address)) == "hello from caddya"
    assert eventually("the stock client reaches us", stock.asks_its_peer) == "hello from ours"
    eventually("the path is direct", lambda: world.node.is_direct(address) and world.fetch(address))
    before = world.sent()
    assert world.fetch(address) == "hello from caddya" and stock.asks_its_peer() == "hello from ours"
    after = world.sent()
    assert after["direct"] > before["direct"] and after["derp"] == before["derp"], (before, after)


@test("pings of every kind are answered by the stock client")
def pings(world):
    world.stock()
    address = world.address("caddya")
    for kind, told in (([], "via 10.99.0.2:"), (["--tsmp"], "via TSMP"), (["--icmp"], "via ICMP")):
        said = eventually(f"a pong {told}", lambda: next(iter([
            done.stdout for done in [world.node.call("ping", "--c", "3", "--timeout", "3s", *kind, address, check=False)]
            if told in done.stdout]), None))
        assert f"pong from caddya ({address}" in said, said


@test("our node and the stock Go client exchange HTTP both ways through our relay")
def go_relayed(world):
    stock = world.stock()
    address = world.address("caddya")
    with no_direct_path(world.network):
        assert eventually("we reach the stock client", lambda: world.fetch(address)) == "hello from caddya"
        assert eventually("the stock client reaches us", stock.asks_its_peer) == "hello from ours"
        eventually("the path is the relay", lambda: world.fetch(address) and not world.node.is_direct(address))
        before = world.sent()
        assert eventually("we reach the stock client", lambda: world.fetch(address)) == "hello from caddya"
        assert world.sent()["derp"] > before["derp"], before
    eventually("the direct path comes back", lambda: world.fetch(address) and world.node.is_direct(address))


@test("our node and the Rust client exchange HTTP both ways, directly and through our relay")
def rust(world):
    client = RustClient(world.network.hosts["a"], world.directory, "rusty", world.control, world.control.key(),
                        world.node.ip())
    try:
        assert eventually("the Rust client reaches us", client.fetches) == "hello from ours"
        eventually("it answers over a direct path", lambda: "via 10.99.0.2:" in world.node.call(
            "ping", "--c", "3", "--timeout", "3s", client.addresses[0], check=False).stdout)
        # It accepts no TCP from the network: what asks it is an HTTP request in a datagram.
        served = client.serves()
        assert served.startswith(client.addresses[0]), (served, client.addresses)
        before = world.sent()
        assert eventually("we reach the Rust client", lambda: world.asks(served)) == "hello from rusty"
        after = world.sent()
        assert after["direct"] > before["direct"] and after["derp"] == before["derp"], (before, after)
        with no_direct_path(world.network):
            assert eventually("the Rust client reaches us through the relay", client.fetches) == "hello from ours"
            eventually("it answers through the relay", lambda: "via DERP" in world.node.call(
                "ping", "--c", "1", "--timeout", "3s", client.addresses[0], check=False).stdout)
            before = world.sent()
            assert eventually("we reach it through the relay", lambda: world.asks(served)) == "hello from rusty"
            assert world.sent()["derp"] > before["derp"], before
    finally:
        client.stop()


@test("Debian's wireguard-go, as a peer that speaks WireGuard only, carries traffic both ways and roams")
def wireguard(world):
    require_tool("wireguard-go", "wg")
    host = world.network.hosts["a"]
    private = run("wg", "genkey").stdout.strip()
    public = run("wg", "pubkey", input=private + "\n", stdin=None).stdout.strip()
    peer = world.control.json("nodes", "add-wireguard", "--user", world.control.user(), "--name", "plain",
                              "--public-key", public, "--endpoint", "10.99.0.2:51820")
    ours = run("python3", "-c", "import base64,sys;print(base64.b64encode(bytes.fromhex(sys.argv[1])).decode())",
               world.node.status()["Self"]["PublicKey"].removeprefix("nodekey:")).stdout.strip()
    host.run("wireguard-go", "mtplain")
    try:
        key = world.directory / "plain.key"
        key.write_text(private)
        key.chmod(0o600)
        host.run("wg", "set", "mtplain", "private-key", key, "listen-port", "51820", "peer", ours, "endpoint",
                 f"10.99.0.3:{41641}", "allowed-ips", f"{world.node.ip()}/32")
        own = peer["ip_addresses"][0]
        host.run("ip", "address", "add", f"{own}/32", "dev", "mtplain")
        host.run("ip", "link", "set", "mtplain", "mtu", "1280", "up")
        host.run("ip", "route", "add", f"{world.node.ip()}/32", "dev", "mtplain")
        host.tcp_serve(8080, reply="hello from plain")
        assert eventually("we reach it", lambda: world.fetch(own)) == "hello from plain"
        done = lambda: host.run("curl", "-s", "--fail", "--max-time", "5", f"http://{world.node.ip()}:8080/", check=False).stdout
        assert eventually("it reaches us", done) == "hello from ours"
        host.run("wg", "set", "mtplain", "listen-port", "51999")
        assert eventually("it reaches us from another port", done) == "hello from ours"
        assert eventually("we follow it there", lambda: world.fetch(own)) == "hello from plain"
    finally:
        host.run("ip", "link", "delete", "mtplain", check=False)


if __name__ == "__main__":
    main(world)
