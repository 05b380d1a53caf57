# SPDX-License-Identifier: Apache-2.0
"""The bed that is measured on: two hosts, and between them one tunnel of ours and one of each rival.

All tunnels stand at the same time and are used in turns. A bed has one MTU, and either leaves the cores to the
kernel or gives each host, with all that runs on it, a core of its own.
"""
import base64, contextlib, dataclasses, os, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Control, Host, Node, eventually, run

PREFIX = "mtbench"
SWITCH = f"{PREFIX}-switch"
UNDERLAY = {"server": "10.96.0.1", "a": "10.96.0.2", "b": "10.96.0.3"}
OURS, PLAIN = "martletd", "veth"
HANDSHAKE_PORT = 51900
HANDSHAKE_PEERS = 64


@dataclasses.dataclass
class Rival:
    """A daemon that is called as wireguard-go is: `PROGRAM -f INTERFACE`, and configured by `wg`."""

    label: str
    program: str


@dataclasses.dataclass
class Tunnel:
    """A way from host a to host b: the addresses of b on it, and the daemons at both ends."""

    label: str
    addresses: dict
    pids: list = dataclasses.field(default_factory=list)
    endpoint: str = ""
    key: str = ""


class PinnedHost(Host):
    """A host all of whose programs run on one core, or on any."""

    core = None

    def command(self, *command):
        pinned = ["taskset", "-c", str(self.core), *command] if self.core is not None else command
        return super().command(*pinned)


class Bed:
    """Hosts, tunnels, and what loads need to know of them."""

    def __init__(self, hosts, mtu, directory):
        self.hosts, self.mtu, self.directory = hosts, mtu, directory
        self.a, self.b = hosts["a"], hosts["b"]
        self.tunnels = {}

    @property
    def plain(self):
        """The wire under the tunnels."""
        return Tunnel(PLAIN, {4: UNDERLAY["b"]})


@contextlib.contextmanager
def bed(directory, rivals, mtu=1280, pinned=False, handshake_keys=()):
    """A bed with its tunnels up."""
    directory.mkdir(parents=True, exist_ok=True)
    with hosts(pinned) as made:
        ready = Bed(made, mtu, directory)
        ready.tunnels[OURS] = ours(made, directory, mtu, handshake_keys)
        for index, rival in enumerate(rivals):
            ready.tunnels[rival.label] = theirs(made, directory, rival, index, mtu, handshake_keys)
        yield ready


@contextlib.contextmanager
def hosts(pinned):
    """Three hosts on one switch."""
    made = {name: PinnedHost(f"{PREFIX}-{name}") for name in UNDERLAY}
    if pinned:
        first, second = sorted(os.sched_getaffinity(0))[:2]
        made["a"].core, made["b"].core = first, second
    names = [SWITCH, *[host.namespace for host in made.values()]]
    for name in names:
        run("ip", "netns", "delete", name, check=False)
        run("ip", "netns", "add", name)
    try:
        run("ip", "-n", SWITCH, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", SWITCH, "link", "set", "br0", "up")
        for name, address in UNDERLAY.items():
            inside = made[name].namespace
            run("ip", "-n", inside, "link", "set", "lo", "up")
            run("ip", "-n", inside, "link", "add", "wire", "type", "veth", "peer", "name", name, "netns", SWITCH)
            run("ip", "-n", SWITCH, "link", "set", "dev", name, "master", "br0", "up")
            run("ip", "-n", inside, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", inside, "link", "set", "wire", "up")
        yield made
    finally:
        for host in made.values():
            host.close()
        for name in names:
            run("ip", "netns", "delete", name, check=False)
        # A rival that was killed leaves the socket of its configuration.
        for socket in pathlib.Path("/run/wireguard").glob(f"{PREFIX}*.sock"):
            socket.unlink(missing_ok=True)


def ours(made, directory, mtu, handshake_keys):
    """Our tunnel: two nodes of a coordination server, under the filter that it sends."""
    control = Control(made["server"], directory / "control", UNDERLAY["server"]).start()
    for number, key in enumerate(handshake_keys):
        control.call("nodes", "add-wireguard", "--user", control.user(), "--name", f"bench{number}", "--public-key",
                     key, "--endpoint", f"{UNDERLAY['a']}:{HANDSHAKE_PORT}")
    nodes = {}
    for name in ("b", "a"):
        nodes[name] = Node(made[name], directory / name, extra=("--mtu", mtu)).start()
        nodes[name].up(control, None, "--hostname", name)
    addresses = {family: nodes["b"].ip(family) for family in (4, 6)}
    eventually("our tunnel answers", lambda: nodes["a"].reaches(addresses[4]))
    eventually("our path is direct", lambda: nodes["a"].reaches(addresses[4]) and nodes["a"].is_direct(addresses[4]))
    key = bytes.fromhex(nodes["b"].status()["Self"]["PublicKey"].removeprefix("nodekey:"))
    return Tunnel(OURS, addresses, [nodes[name].daemon.pid for name in ("a", "b")], f"{UNDERLAY['b']}:41641",
                  base64.b64encode(key).decode())


def theirs(made, directory, rival, index, mtu, handshake_keys):
    """A rival's tunnel, with the same addresses to carry."""
    port = 51820 + index
    ends = {name: f"{PREFIX}{index}{name}" for name in ("a", "b")}
    inner = {"a": (f"10.95.{index}.1", f"fd95:{index}::1"), "b": (f"10.95.{index}.2", f"fd95:{index}::2")}
    keys, pids = {}, []
    for name, link in ends.items():
        private = run("wg", "genkey").stdout.strip()
        keys[name] = run("wg", "pubkey", input=private, stdin=None).stdout.strip()
        pids.append(made[name].spawn(rival.program, "-f", link, stdout=-3, stderr=-3).pid)
        eventually(f"{rival.label} has its interface", lambda: made[name].run("wg", "show", link, check=False).returncode == 0)
        path = directory / f"{link}.key"
        path.touch(mode=0o600)
        path.write_text(private)
        made[name].run("wg", "set", link, "private-key", path, "listen-port", port)
        path.unlink()
    for name, other in (("a", "b"), ("b", "a")):
        v4, v6 = inner[name]
        made[name].run("wg", "set", ends[name], "peer", keys[other], "endpoint", f"{UNDERLAY[other]}:{port}",
                       "allowed-ips", f"{inner[other][0]}/32,{inner[other][1]}/128")
        made[name].run("ip", "address", "add", f"{v4}/24", "dev", ends[name])
        made[name].run("ip", "address", "add", f"{v6}/64", "dev", ends[name], "nodad")
        made[name].run("ip", "link", "set", ends[name], "mtu", mtu, "up")
    for number, key in enumerate(handshake_keys):
        made["b"].run("wg", "set", ends["b"], "peer", key, "allowed-ips", f"10.94.{index}.{number}/32")
    addresses = dict(zip((4, 6), inner["b"]))
    for address in addresses.values():
        eventually(f"{rival.label} answers", lambda: made["a"].run(
            "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0)
    return Tunnel(rival.label, addresses, pids, f"{UNDERLAY['b']}:{port}", keys["b"])
