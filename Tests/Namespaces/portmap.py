#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Port mapping against miniupnpd on a real kernel: PCP, NAT-PMP and UPnP let peers in that nothing else would."""
import contextlib, json, pathlib, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Node, eventually, main, require_tool, test
from laboratory import laboratory

# miniupnpd maps nothing where the public side looks private: this network must look public.
PUBLIC = "20.99.0"
WAN = f"{PUBLIC}.12"

SETTINGS = """
ext_ifname=wan
listening_ip=lan
http_port=5555
enable_upnp={upnp}
enable_natpmp={pmp}
secure_mode=yes
system_uptime=no
min_lifetime=1
max_lifetime={lifetime}
lease_file={leases}
uuid=4b6c1c1e-0c5e-4d7a-9a3c-2f1c6a1d9e11
upnp_table_name=mapped
upnp_nat_table_name=mapped
"""
CHAINS = """
table inet mapped {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain prerouting { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }
}
"""


class Gateway:
    """miniupnpd on the NAT before home1, which stays symmetric for what goes out."""

    def __init__(self, lab):
        self.lab = lab
        self.host = lab.nats["nat1"]
        self.directory = lab.directory / "gateway"
        self.directory.mkdir(exist_ok=True)
        self.leases = self.directory / "leases"
        self.child = None

    def prepare(self):
        self.lab.nat("hard", "home1")
        self.host.run("nft", "add rule ip lab forward ct status dnat accept")
        self.clear()

    def clear(self):
        self.host.run("nft", "delete", "table", "inet", "mapped", check=False)
        (self.directory / "chains").write_text(CHAINS)
        self.host.run("nft", "-f", self.directory / "chains")
        self.leases.unlink(missing_ok=True)

    def start(self, upnp=True, pmp=True, lifetime=86400):
        answer = {True: "yes", False: "no"}
        settings = SETTINGS.format(upnp=answer[upnp], pmp=answer[pmp], lifetime=lifetime, leases=self.leases)
        (self.directory / "conf").write_text(settings)
        self.child = self.host.spawn("miniupnpd", "-d", "-4", "-f", self.directory / "conf",
                                     "-P", self.directory / "pid",
                                     stdout=open(self.directory / "log", "ab"), stderr=open(self.directory / "log", "ab"))
        eventually("miniupnpd listens", lambda: ":5555 " in self.host.run("ss", "-ltn").stdout)

    def kill(self):
        """It dies, and with it all it knew."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None
        self.clear()

    def rules(self):
        """The ports that the kernel forwards: external, to whom, expiry where one is known."""
        listed = json.loads(self.host.run("nft", "-j", "list", "chain", "inet", "mapped", "prerouting_miniupnpd").stdout)
        found = []
        for item in listed["nftables"]:
            for part in item.get("rule", {}).get("expr", []):
                if "dnat" in part:
                    found.append((part["dnat"]["addr"], part["dnat"]["port"]))
        return found

    def expiries(self):
        """When each lease ends."""
        with contextlib.suppress(OSError):
            return [int(line.split(":")[4]) for line in self.leases.read_text().splitlines() if line]
        return []


class World:
    def __init__(self, lab):
        self.lab = lab
        self.gateway = Gateway(lab)
        self.peer = None
        self.home = None

    def explain(self):
        self.lab.explain()
        with contextlib.suppress(OSError):
            print("--- miniupnpd\n" + "\n".join((self.gateway.directory / "log").read_text(errors="replace").splitlines()[-15:]))

    def start(self, *extra):
        """A fresh node behind the gateway."""
        self.stop()
        node = Node(self.lab.hosts["home1"], self.lab.directory / f"home-{time.monotonic_ns()}", extra=extra).start()
        self.lab.nodes["home1"] = node
        node.up(self.lab.control)
        self.home = node
        return node

    def stop(self):
        if self.home is not None:
            self.lab.nodes.pop("home1", None)
            self.home.daemon.stop()
            self.home = None


@contextlib.contextmanager
def world():
    require_tool("miniupnpd", "nft", "ss")
    with laboratory("mtpm", PUBLIC) as lab:
        made = World(lab)
        made.gateway.prepare()
        lab.nat("hard", "home2")
        made.peer = lab.node("home2")
        try:
            yield made
        finally:
            made.gateway.kill()


def mapped(node):
    """The endpoint at the gateway that the node tells, if any."""
    own = node.status()["Self"]
    return next((one for one in own.get("Addrs") or [] if one.startswith(WAN + ":")
                 and int(one.rsplit(":", 1)[1]) in ports(node)), None)


def ports(node):
    text = node.call("debug", "portmap", "--json").stdout
    found = json.loads(text)
    return {found["Mapping"]["Port"]} if found.get("Mapping") else set()


def is_direct(one, other):
    done = one.call("ping", "--until-direct", "--c", "30", "--timeout", "5s", other.ip(), check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    eventually("the status tells the direct path", lambda: one.is_direct(other))


@test("without a mapping two nodes behind symmetric NATs stay on the relay")
def without(world):
    world.gateway.start()
    node = world.start("--port-mapping", "off")
    eventually("a ping", lambda: world.peer.reaches(node))
    done = world.peer.call("ping", "--until-direct", "--c", "2", "--timeout", "5s", node.ip(), check=False)
    assert "via DERP" in done.stdout and not world.peer.is_direct(node), done.stdout
    assert world.gateway.rules() == []
    report = json.loads(node.call("netcheck", "--format", "json").stdout)
    assert report.get("UPnP") is None and report.get("PCP") is None, report


def each(service):
    @test(f"a port mapped by {service} lets a peer behind a symmetric NAT in, and the end of the daemon ends it")
    def check(world):
        node = world.start("--port-mapping", service)
        port = int(eventually("the mapped endpoint is told", lambda: mapped(node)).rsplit(":", 1)[1])
        rules = world.gateway.rules()
        assert rules == [("192.168.81.11", 41641)], rules
        is_direct(world.peer, node)
        path = world.peer.peer(node)["CurAddr"]
        assert path == f"{WAN}:{port}", path
        is_direct(node, world.peer)
        world.stop()
        assert world.gateway.rules() == [], "the mapping is still there"


for one in ("pcp", "pmp", "upnp"):
    each(one)


@test("the report on the network names the services")
def report(world):
    node = world.start()
    eventually("the mapped endpoint is told", lambda: mapped(node))
    found = json.loads(node.call("netcheck", "--format", "json").stdout)
    assert found["UPnP"] and found["PMP"] and found["PCP"], found
    assert found["MappingVariesByDestIP"] is not False, found
    text = node.call("netcheck").stdout
    assert "* PortMapping: UPnP, NAT-PMP, PCP" in text, text
    shown = node.call("debug", "portmap").stdout
    assert WAN in shown and "pcp" in shown.lower(), shown


@test("a gateway that dies and forgets is asked again at once when it is back")
def restart(world):
    node = world.start("--port-mapping", "pcp,pmp")
    eventually("the mapped endpoint is told", lambda: mapped(node))
    world.gateway.kill()
    assert world.gateway.rules() == []
    world.gateway.start()
    eventually("the port is forwarded again", world.gateway.rules, patience=30)
    is_direct(world.peer, node)


@test("a gateway of UPnP only that forgot is noticed when somebody looks at the network")
def restart_upnp(world):
    node = world.start("--port-mapping", "upnp")
    eventually("the mapped endpoint is told", lambda: mapped(node))
    world.gateway.kill()
    world.gateway.start()

    def look():
        node.call("netcheck")
        return world.gateway.rules()

    eventually("the port is forwarded again", look, pause=1)


@test("a mapping is renewed at half its life")
def renewal(world):
    world.stop()
    world.gateway.kill()
    world.gateway.start(lifetime=30)
    node = world.start("--port-mapping", "pcp")
    endpoint = eventually("the mapped endpoint is told", lambda: mapped(node))
    first = eventually("the lease is written", world.gateway.expiries)[0]
    later = eventually("the lease is renewed", lambda: [one for one in world.gateway.expiries() if one > first],
                       patience=60, pause=0.5)
    assert mapped(node) == endpoint and 10 <= later[0] - first <= 30, (first, later)


@test("going down ends the mapping, and coming up makes it again")
def down(world):
    node = world.home or world.start("--port-mapping", "pcp")
    eventually("the mapped endpoint is told", lambda: mapped(node))
    node.call("down")
    eventually("the mapping is gone", lambda: world.gateway.rules() == [])
    node.call("up")
    eventually("it is there again", world.gateway.rules)


if __name__ == "__main__":
    main(world)
