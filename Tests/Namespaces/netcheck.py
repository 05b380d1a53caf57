#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `martlet netcheck` finds in networks of many kinds: NATs, blocked UDP, portals that want people to sign in."""
import contextlib, json, pathlib, re, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import (
    BINARIES, Control, Daemon, eventually, main, require_programs, require_root, require_tool, scratch, test)
from laboratory import Laboratory

ADDRESSES = {901: "10.99.0.1", 902: "10.99.0.2"}
PORTAL = """
import http.server
class Portal(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", "http://192.168.81.1/sign-in")
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("", 8081), Portal).serve_forever()
"""


class World:
    """Two relays that answer STUN and plain HTTP, and a node at home."""

    def __init__(self, directory):
        self.lab = Laboratory(directory, "mtnc")
        self.directory = pathlib.Path(directory)
        self.relays = []

    def start(self):
        server = self.lab.hosts["server"]
        server.run("ip", "address", "add", f"{ADDRESSES[902]}/24", "dev", "wan")
        regions = {}
        for number, address in ADDRESSES.items():
            relay = Daemon(server, self.directory / f"relay{number}", "martlet-derp", "--self-signed", "--hostname",
                           address, "--listen", f"{address}:443", "--http-listen", f"{address}:80",
                           "--state", self.directory / f"relay{number}" / "state").start()
            self.relays.append(relay)
            pin = eventually("the relay tells its certificate",
                             lambda: re.search("sha256-raw:[0-9a-f]{64}", relay.log.read_text())).group()
            regions[str(number)] = {"RegionID": number, "RegionCode": f"r{number}", "RegionName": f"Region {number}", "Nodes": [{
                "Name": f"{number}a", "RegionID": number, "HostName": address, "IPv4": address, "IPv6": "none",
                "CertName": pin, "CanPort80": True}]}
        derp_map = self.directory / "relays.json"
        derp_map.write_text(json.dumps({"Regions": regions}))
        control = Control(server, self.directory / "control", ADDRESSES[901], relay=False,
                          extra=["--derp-map", derp_map])
        self.lab.control = control.start()
        self.node = self.lab.node("home1")
        self.router = self.lab.nats["nat1"]

    def explain(self):
        self.lab.explain()

    def rules(self, text=None):
        """The router's rules besides those of its NAT."""
        self.router.run("nft", "delete", "table", "ip", "more", check=False)
        if text:
            file = self.directory / "rules"
            file.write_text("table ip more {\n" + text.replace("; }", "; }\n") + "}\n")
            self.router.run("nft", "-f", file)
        self.router.run("conntrack", "-D", check=False)

    def report(self):
        return json.loads(self.node.call("netcheck", "--format", "json").stdout)

    def health(self):
        return " ".join(self.node.status().get("Health") or [])


@contextlib.contextmanager
def world():
    require_programs("martletd", "martlet", "martlet-control", "martlet-derp")
    require_root()
    require_tool("ip", "nft", "conntrack")
    with scratch("martlet-netcheck-") as directory:
        made = World(directory)
        made.lab.lab("down")
        made.lab.lab("up")
        try:
            made.start()
            yield made
        finally:
            made.lab.close()


@test("behind a friendly NAT the report has both families' truth and every relay, in all formats")
def friendly(world):
    world.lab.nat("easy", "home1")
    found = world.report()
    assert found["UDP"] and found["IPv4"] and found["IPv4CanSend"] and not found["IPv6"], found
    assert found["MappingVariesByDestIP"] is False and found["GlobalV4"].startswith("10.99.0.12:"), found
    assert set(found["RegionLatency"]) == {"901", "902"} and found["PreferredDERP"] in (901, 902), found
    assert found["CaptivePortal"] is None and not found["ICMPv4"], found
    line = world.node.call("netcheck", "--format", "json-line").stdout
    assert line.count("\n") == 1 and json.loads(line)["UDP"], line
    text = world.node.call("netcheck").stdout
    for part in ("\t* UDP: true\n", "\t* IPv4: yes, 10.99.0.12:", "\t* IPv6: no, ", "\t* MappingVariesByDestIP: false\n",
                 "\t* Nearest DERP: Region 90", "(Region 902)\n"):
        assert part in text, (part, text)
    assert "CaptivePortal" not in text, text


@test("--every repeats the report until it is stopped")
def every(world):
    child = world.node.host.spawn(
        *world_command(world, "netcheck", "--every", "300ms", "--format", "json-line"), stdout=subprocess.PIPE, text=True)
    try:
        times = [json.loads(child.stdout.readline())["Now"] for _ in range(2)]
    finally:
        child.kill()
        child.wait()
    assert times[0] < times[1], times


def world_command(world, *arguments):
    return [BINARIES / "martlet", "--socket", world.node.socket, *arguments]


@test("a symmetric NAT is told by ports that differ from relay to relay")
def symmetric(world):
    world.lab.nat("hard", "home1")
    found = world.report()
    assert found["UDP"] and found["MappingVariesByDestIP"] is True, found


@test("without UDP the relays are timed by ICMP and HTTPS, and no portal is seen where there is none")
def blocked(world):
    world.lab.nat("blocked", "home1")
    found = world.report()
    assert not found["UDP"] and found["IPv4"] and found["ICMPv4"], found
    assert set(found["RegionLatency"]) == {"901", "902"} and not found["GlobalV4"], found
    assert found["CaptivePortal"] is False, found
    world.rules("chain f { type filter hook forward priority 0; icmp type echo-request drop; }")
    found = world.report()
    assert not found["ICMPv4"] and found["IPv4"] and set(found["RegionLatency"]) == {"901", "902"}, found
    world.rules()


@test("a portal is told as what is wrong, and the warning goes when somebody has signed in")
def portal(world):
    world.lab.nat("blocked", "home1")
    page = world.router.spawn(sys.executable, "-c", PORTAL)
    try:
        eventually("the portal listens", lambda: ":8081 " in world.router.run("ss", "-ltn").stdout)
        world.rules("chain p { type nat hook prerouting priority dstnat; iifname lan tcp dport 80 redirect to :8081; } "
                    "chain f { type filter hook forward priority 0; iifname lan drop; }")
        found = world.report()
        assert found["CaptivePortal"] is True and not found["RegionLatency"], found
        assert "sign in" in world.health(), world.health()
        world.rules()
        world.lab.nat("easy", "home1")
        eventually("the warning goes by itself", lambda: "sign in" not in world.health())
        assert world.report()["UDP"]
    finally:
        page.kill()


if __name__ == "__main__":
    main(world)
