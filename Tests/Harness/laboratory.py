# SPDX-License-Identifier: Apache-2.0
"""The small internet of `make lab`, as a Python object for tests."""
import contextlib, os, pathlib

from harness import ROOT, Control, Host, Node, Skip, require_programs, require_root, require_tool, run, scratch

LAB = ROOT / "Scripts/lab/lab"


class Laboratory:
    """The hosts of `Scripts/lab/lab`, with a coordination server and nodes started on demand.

    `server` is public; `lan1` and `lan2` share a network behind one NAT; `home1` and `home2` sit
    behind a NAT each.
    """

    HOSTS = ["server", "lan1", "lan2", "home1", "home2"]
    NATS = {"lan1": "natlan", "lan2": "natlan", "home1": "nat1", "home2": "nat2"}

    def __init__(self, directory, prefix, public="10.99.0"):
        self.directory = pathlib.Path(directory)
        self.prefix = prefix
        self.public = public
        self.hosts = {name: Host(f"{prefix}-{name}") for name in self.HOSTS}
        self.nats = {name: Host(f"{prefix}-{name}") for name in sorted(set(self.NATS.values()))}
        self.control = None
        self.nodes = {}

    def lab(self, *arguments):
        return run(LAB, "--prefix", self.prefix, *arguments,
                   env={**os.environ, "MARTLET_LAB_PUBLIC": self.public})

    def nat(self, kind, *names):
        """Makes the NATs of these hosts `easy`, `hard` or `blocked`, and asserts that they are."""
        for name in names:
            self.lab("nat", name, kind)
            self.lab("assert-nat", name, kind)

    def start_control(self):
        host = self.hosts["server"]
        self.control = Control(host, self.directory / "control", host.addresses()[0]).start()
        return self.control

    def node(self, name, *arguments, fresh=False, **options):
        """The node on a host, joined; made at first use."""
        if fresh and name in self.nodes:
            self.remove(name)
        if name not in self.nodes:
            node = Node(self.hosts[name], self.directory / name, **options).start()
            self.nodes[name] = node
            node.up(self.control, None, *arguments)
        return self.nodes[name]

    def remove(self, name):
        node = self.nodes.pop(name)
        node.call("logout", check=False)
        node.daemon.stop()

    def explain(self):
        shown = [self.control.daemon] if self.control else []
        for daemon in shown + [node.daemon for node in self.nodes.values()]:
            print(f"--- {daemon.host} {daemon.name}\n{daemon.tail(12)}", flush=True)

    def close(self):
        for node in self.nodes.values():
            with contextlib.suppress(AssertionError):
                node.daemon.stop()
        for host in [*self.hosts.values(), *self.nats.values()]:
            host.close()
        self.lab("down")


@contextlib.contextmanager
def laboratory(prefix="mtl", public="10.99.0"):
    """The laboratory with a running coordination server and relay; removed at the end.

    `public` are the first three numbers of its public network.
    """
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    require_tool("ip", "nft", "ping")
    with scratch("martlet-lab-") as directory:
        lab = Laboratory(directory, prefix, public)
        lab.lab("down")
        lab.lab("up")
        try:
            lab.start_control()
            yield lab
        finally:
            lab.close()
