#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that can speak WebSockets only, as those in browsers: at the relay and at the coordination server.

The clients are made of other people's libraries (websockets, PyNaCl, noiseprotocol, h2) from PyPI;
where they cannot be had, the tests are skipped by name. No packet leaves the namespace.
"""
import contextlib, json, os, pathlib, sys

HARNESS = pathlib.Path(__file__).resolve().parents[1] / "Harness"
sys.path.insert(0, str(HARNESS))
from harness import Control, Daemon, Host, Node, eventually, main, require_programs, require_root, run, scratch, test
from packages import installed
from web_socket_clients import PACKAGES

NAMESPACE = "mtp-websocket"


class World:
    def __init__(self, directory, python):
        self.directory, self.python = directory, python
        self.daemons = []
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")

    def client(self, *arguments):
        return self.host.run(self.python, HARNESS / "web_socket_clients.py", *arguments).stdout

    @contextlib.contextmanager
    def relay(self, name, *arguments):
        daemon = Daemon(self.host, self.directory / name, "martlet-derp", "--hostname", "127.0.0.1", "--state",
                        self.directory / name / "state", "--stun-port=-1", *arguments).start()
        self.daemons.append(daemon)
        eventually("the relay serves", lambda: "serving" in daemon.tail())
        try:
            yield daemon
        finally:
            daemon.stop()

    def explain(self):
        for daemon in self.daemons:
            print(f"--- {daemon.name}\n{daemon.tail()}", flush=True)

    def close(self):
        self.host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


@contextlib.contextmanager
def world():
    require_programs("martlet-derp", "martlet-control", "martletd", "martlet")
    require_root()
    python = installed(*PACKAGES) / "bin/python"
    with scratch("martlet-websocket-") as directory:
        made = World(directory, python)
        try:
            yield made
        finally:
            made.close()


@test("clients of the relay exchange packets over WebSockets, in whatever messages, and close in order")
def relay(world):
    with world.relay("plain", "--plain", "--listen", "127.0.0.1:3340"):
        assert world.client("derp", "ws://127.0.0.1:3340/derp") == "good\n"


@test("the same over TLS")
def relay_over_tls(world):
    with world.relay("tls", "--self-signed", "--listen", "127.0.0.1:443"):
        assert world.client("derp", "wss://127.0.0.1/derp") == "good\n"


@test("a machine registers over a WebSocket, its handshake in the query")
def control(world):
    control = Control(world.host, world.directory / "control", "127.0.0.1", relay=False).start()
    world.daemons.append(control.daemon)
    try:
        answer = json.loads(world.client("control", control.url, control.key(), "browser"))
        assert answer["status"] == 200 and answer["answer"].get("MachineAuthorized"), answer
        assert [node["given_name"] for node in control.nodes()] == ["browser"]
    finally:
        control.daemon.stop()


@test("a relay admits whom the coordination server or the daemon of its machine knows, and nobody else")
def admission(world):
    member, stranger = os.urandom(32).hex(), os.urandom(32).hex()
    control = Control(world.host, world.directory / "members", "127.0.0.1", relay=False).start()
    world.daemons.append(control.daemon)
    node = Node(world.host, world.directory / "node")
    try:
        answer = json.loads(world.client("control", control.url, control.key(), "browser", member))
        assert answer["answer"].get("MachineAuthorized"), answer
        listen = ["--plain", "--listen", "127.0.0.1:3340"]
        verify = ["--verify-client-url", f"{control.url}/verify", "--verify-client-url-fail-open=false"]
        with world.relay("by-url", *listen, *verify):
            assert world.client("admitted", "ws://127.0.0.1:3340/derp", member).startswith("admitted")
            assert world.client("admitted", "ws://127.0.0.1:3340/derp", stranger) == "refused\n"
        node.start()
        world.daemons.append(node.daemon)
        node.up(control)
        eventually("the node knows the browser", lambda: node.status().get("Peer"))
        with world.relay("by-daemon", *listen, "--verify-clients", "--socket", node.socket):
            assert world.client("admitted", "ws://127.0.0.1:3340/derp", member).startswith("admitted")
            assert world.client("admitted", "ws://127.0.0.1:3340/derp", stranger) == "refused\n"
            node.daemon.stop()
            assert world.client("admitted", "ws://127.0.0.1:3340/derp", member) == "refused\n"
    finally:
        node.daemon.stop()
        control.daemon.stop()


if __name__ == "__main__":
    main(world)
