#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs martlet-derpprobe and martlet-stund, against relays of a mesh that come and go."""
import contextlib, json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Daemon, Host, eventually, main, require_programs, require_root, run, scratch, test

NAMESPACE = "mtp-probe"
ADDRESSES = {"1a": "127.0.0.1", "1b": "127.0.0.2"}


class World:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")
        self.relays = {}
        for name, address in ADDRESSES.items():
            self.relays[name] = Daemon(
                self.host, self.directory / name, "martlet-derp", "--listen", f"{address}:8443", "--hostname", address,
                "--self-signed", "--state", self.directory / name / "state")
        self.map = self.directory / "map.json"

    def start(self):
        """Both relays, which do not know of each other, and the map with their pins."""
        pins = {}
        for name, relay in self.relays.items():
            relay.start()
            eventually("the relay serves", lambda: "certName=" in relay.tail())
            pins[name] = relay.tail().split("certName=")[1].split()[0]
        regions = {"1": {"RegionID": 1, "RegionCode": "lab", "RegionName": "Laboratory", "Nodes": [
            {"Name": name, "RegionID": 1, "HostName": address, "IPv4": address, "IPv6": "none", "CertName": pins[name],
             "DERPPort": 8443, "STUNPort": 3478} for name, address in ADDRESSES.items()]}}
        self.map.write_text(json.dumps({"Regions": regions}))

    def probe(self, *arguments):
        return self.host.run(BINARIES / "martlet-derpprobe", "--derp-map", self.map, *arguments, check=False, timeout=60)


@contextlib.contextmanager
def world():
    require_root()
    require_programs("martlet-derp", "martlet-derpprobe", "martlet-stund")
    with scratch("martlet-probes-") as directory:
        made = World(directory)
        try:
            made.start()
            yield made
        finally:
            made.host.close()
            run("ip", "netns", "delete", NAMESPACE, check=False)


@test("a round finds STUN, TLS and packets of each relay good, and a break in the mesh")
def once(world):
    alone = world.probe("--once", "--mesh-interval", "0s")
    assert alone.returncode == 0 and alone.stdout.count("good ") == 4, (alone.stdout, alone.stderr)
    # They do not know of each other, so nothing crosses between them.
    broken = world.probe("--once", "--stun-interval=0s", "--tls-interval=0s")
    assert broken.returncode == 1, (broken.stdout, broken.stderr)
    for line in ("good mesh/lab/1a/1a", "good mesh/lab/1b/1b", "bad  mesh/lab/1a/1b", "bad  mesh/lab/1b/1a"):
        assert line in broken.stdout, (line, broken.stdout)


@test("across a mesh packets go from each relay to each, for who has its secret where relays admit nobody else")
def mesh(world):
    secret = world.directory / "secret"
    secret.write_text("5a" * 32 + "\n")
    secret.chmod(0o600)
    pins = {name: node["CertName"] for name, node in ((node["Name"], node) for node in
            json.loads(world.map.read_text())["Regions"]["1"]["Nodes"])}
    for relay in world.relays.values():
        relay.stop()
    meshed = []
    for name, address in ADDRESSES.items():
        other = next(each for each in ADDRESSES if each != name)
        meshed.append(Daemon(
            world.host, world.directory / f"{name}-meshed", "martlet-derp", "--listen", f"{address}:8443", "--hostname",
            address, "--self-signed", "--state", world.directory / name / "state", "--mesh-psk-file", secret, "--mesh-with",
            f"{ADDRESSES[other]}:8443={pins[other]}", "--verify-client-url", "http://127.0.0.1:9/verify",
            "--verify-client-url-fail-open=false").start())
    try:
        packets = ("--once", "--stun-interval=0s", "--tls-interval=0s", "--bw-interval=1m", "--bw-probe-size-bytes=100000")
        found = eventually("everything crosses", lambda: (
            lambda done: done.returncode == 0 and done.stdout)(world.probe(*packets, "--mesh-psk-file", secret)))
        assert found.count("good mesh/lab/") == 4 and found.count("Mbit/s") == 4, found
        stranger = world.probe(*packets)
        assert stranger.returncode == 1 and "good " not in stranger.stdout, stranger.stdout
        assert "closed the connection" in stranger.stdout, stranger.stdout
    finally:
        for relay in meshed:
            relay.stop()
        for relay in world.relays.values():
            relay.start()


@test("the status page follows a relay that dies and returns")
def page(world):
    watcher = Daemon(world.host, world.directory / "watch", "martlet-derpprobe", "--derp-map", world.map, "--interval", "300ms",
                     "--mesh-interval=0s", "--listen", "127.0.0.1:8030").start()

    def get(path):
        told = world.host.run("curl", "-s", "-w", "\n%{http_code}", f"http://127.0.0.1:8030{path}", check=False).stdout
        body, _, status = told.rpartition("\n")
        return int(status or 0), body

    eventually("all is well", lambda: get("/healthz")[0] == 200 and "good tls/lab/1b" in get("/healthz")[1])
    world.relays["1b"].kill()
    eventually("the page tells of the dead relay", lambda: get("/healthz")[0] == 503)
    found = json.loads(get("/json")[1])
    assert found["tls/lab/1a"]["good"] and not found["tls/lab/1b"]["good"], found
    assert 'martlet_derpprobe_up{probe="tls/lab/1b"} 0' in get("/metrics")[1]
    assert "Something is wrong" in get("/")[1] and get("/nothing")[0] == 404
    world.relays["1b"].start()
    eventually("the page tells of its return", lambda: get("/healthz")[0] == 200)
    aside = world.map.rename(world.directory / "aside.json")
    eventually("the page tells that the map is gone", lambda: "bad  map" in get("/healthz")[1])
    aside.rename(world.map)
    eventually("and that it is there again", lambda: get("/healthz")[0] == 200)
    watcher.stop()


@test("a map that is none is told, with the exit code of wrong configuration")
def wrong(world):
    for text in (None, "nonsense", "{}"):
        path = world.directory / "wrong.json"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        done = world.host.run(BINARIES / "martlet-derpprobe", "--derp-map", path, "--once", check=False)
        assert done.returncode == 3 and "relay map" in done.stderr, (text, done.returncode, done.stderr)


@test("martlet-stund tells addresses, counts what it answered, and refuses a port in use")
def stund(world):
    server = Daemon(world.host, world.directory / "stund", "martlet-stund", "--stun", "127.0.0.9:3478", "--http",
                    "127.0.0.9:8031").start()
    eventually("it serves", lambda: "serving" in server.tail())
    ask = ("import os,socket,struct,zlib\n"
           "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10); s.connect(('127.0.0.9',3478))\n"
           "i=os.urandom(12)\n"
           "body=struct.pack('>HH',0x8022,8)+b'tailnode'\n"
           "head=struct.pack('>HHI',1,len(body)+8,0x2112A442)+i\n"
           "crc=zlib.crc32(head+body)^0x5354554e\n"
           "s.send(head+body+struct.pack('>HHI',0x8028,4,crc)); r=s.recv(1500)\n"
           "assert r[:2]==b'\\x01\\x01' and r[8:20]==i, r\n"
           "print('answered')")
    assert "answered" in world.host.run(sys.executable, "-c", ask).stdout
    counts = world.host.run("curl", "-s", "http://127.0.0.9:8031/metrics").stdout
    assert 'martlet_stun_requests_total{family="ipv4"} 1' in counts, counts
    second = world.host.run(BINARIES / "martlet-stund", "--stun", "127.0.0.9:3478", check=False, timeout=30)
    assert second.returncode == 5, (second.returncode, second.stderr)
    server.stop()


if __name__ == "__main__":
    main(world)
