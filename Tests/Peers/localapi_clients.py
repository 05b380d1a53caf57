#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local API of our daemon: client libraries written for the original, strangers, and our command line.

Two of our nodes run in network namespaces that are made and removed here; no packet leaves them.
"""
import contextlib, json, os, pathlib, shutil, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import (BINARIES, Control, Node, eventually, main, require_programs, require_root, require_tool, run,
                     scratch, test)
from packages import installed
from stock import Network

TSLOCAL = "tslocal==1.1.0"
LOCALAPI = "tailscale-localapi==0.5.0"
NOBODY = 65534
HOST = "local-tailscaled.sock"

ASK = """
import http.client, json, socket, sys
method, path, body, socket_path = sys.argv[1:5]
headers = dict(field.split("=", 1) for field in sys.argv[5:])
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(socket_path)
connection = Connection("local-tailscaled.sock")
connection.request(method, "/localapi/v0/" + path, body or None, headers)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode(errors="replace")]))
"""


class World:
    def __init__(self, directory):
        self.directory = directory
        self.network = Network()
        self.control = self.node = self.other = None

    def start(self):
        self.network.up()
        self.control = Control(self.network.hosts["server"], self.directory / "control", "10.99.0.1").start()
        self.node = Node(self.network.hosts["a"], self.directory / "alpha").start()
        self.other = Node(self.network.hosts["b"], self.directory / "beta").start()
        self.node.up(self.control, None, "--hostname", "alpha")
        self.other.up(self.control, None, "--hostname", "beta")
        eventually("the nodes know each other", lambda: self.node.peer(self.other))
        # Everything that leads to the socket is open, so that the daemon itself decides.
        for path in (self.directory, self.node.directory):
            os.chmod(path, 0o755)
        self.program = self.directory / "martlet"
        shutil.copy(BINARIES / "martlet", self.program)
        os.chmod(self.program, 0o755)

    def ask(self, method, path, body="", user=None, **headers):
        """A request over the socket: its status and body."""
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        fields = [f"{name.replace('_', '-')}={value}" for name, value in headers.items()]
        done = run(*prefix, "python3", "-c", ASK, method, path, body, self.node.socket, *fields)
        return json.loads(done.stdout)

    def preferences(self):
        return json.loads(self.ask("GET", "prefs")[1])

    def as_nobody(self, *arguments):
        return self.node.host.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", self.program,
                                  "--socket", self.node.socket, *arguments, check=False)

    def explain(self):
        for what in (self.control, self.node, self.other):
            if what:
                print(f"--- {what.daemon.name}\n{what.daemon.tail(15)}", flush=True)


@contextlib.contextmanager
def world():
    require_programs("martlet-control", "martletd", "martlet")
    require_root()
    require_tool("ip", "setpriv", "unshare")
    with scratch("martlet-localapi-") as directory:
        made = World(directory)
        try:
            made.start()
            yield made
        finally:
            for node in (made.node, made.other):
                if node:
                    node.daemon.stop()
            made.network.down()


def library(package, script, *arguments, prefix=()):
    """What a script prints that uses a client library, as JSON."""
    python = installed(package) / "bin/python3"
    return json.loads(run(*prefix, python, "-c", script, *arguments).stdout)


@test("tslocal reads our status, and finds out who is behind an address")
def tslocal(world):
    told = library(TSLOCAL, """
import json, sys
from tslocal import Client, PeerNotFoundError
import msgspec
client = Client(socket_path=sys.argv[1], use_socket_only=True)
status, alone = client.status(), client.status_without_peers()
peer = client.who_is(sys.argv[2] + ":80")
missing = False
try:
    client.who_is("100.127.255.254:80")
except PeerNotFoundError:
    missing = True
print(json.dumps({"status": msgspec.to_builtins(status), "alone": msgspec.to_builtins(alone),
                  "peer": msgspec.to_builtins(peer), "missing": missing}))
""", world.node.socket, world.other.ip())
    text = json.dumps(told["status"])
    assert world.node.ip() in text and world.other.ip() in text and '"Running"' in text, text
    assert world.other.ip() not in json.dumps(told["alone"]), told["alone"]
    assert "beta" in json.dumps(told["peer"]) and told["missing"], told


@test("tailscale-localapi reads our status, and turns us off and on")
def localapi(world):
    # It knows one path only, so that one gets a /run of its own.
    inside = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && mkdir /run/tailscale && '
              'ln -s "$0" /run/tailscale/tailscaled.sock && exec "$@"', world.node.socket]
    script = """
import json
from tailscale_localapi.v0.api import API_V0
api = API_V0()
told = {"self": api.self().ip_addresses + [api.self().ip_address], "peers": [peer.ip_address for peer in api.peers()],
        "connected": api.is_connected()}
api.disconnect()
print(json.dumps(told))
"""
    told = library(LOCALAPI, script, prefix=inside)
    assert world.node.ip() in told["self"] and told["peers"] == [world.other.ip()] and told["connected"], told
    assert world.preferences()["WantRunning"] is False
    assert world.node.call("status", check=False).stdout == "Martlet is stopped.\n"
    library(LOCALAPI, "from tailscale_localapi.v0.api import API_V0; API_V0().connect(); print(1)", prefix=inside)
    eventually("we are connected again", lambda: world.node.status()["BackendState"] == "Running")


@test("an unprivileged user reads, and changes nothing")
def strangers(world):
    before = world.preferences()
    assert before["WantRunning"] is True
    status, text = world.ask("GET", "status", user=NOBODY)
    assert status == 200 and json.loads(text)["BackendState"] == "Running"
    assert "privkey:0000" in world.ask("GET", "prefs", user=NOBODY)[1] or "privkey" not in world.ask("GET", "prefs", user=NOBODY)[1]
    down = json.dumps({"WantRunning": False, "WantRunningSet": True})
    mine = json.dumps({"OperatorUser": "nobody", "OperatorUserSet": True})
    for method, path, body in (("PATCH", "prefs", down), ("PATCH", "prefs", mine), ("POST", "start", "{}"),
                               ("POST", "logout", ""), ("POST", "login-interactive", ""), ("GET", "profiles/", ""),
                               ("POST", "check-prefs", "{}"), ("GET", "metrics", "")):
        status, text = world.ask(method, path, body, user=NOBODY)
        assert status == 403 and "denied" in text, (method, path, status, text)
    done = world.as_nobody("down")
    assert done.returncode == 1 and "Access denied" in done.stderr and "sudo martlet" in done.stderr, done
    assert world.as_nobody("status").stdout.startswith(world.node.ip())
    assert world.preferences() == before and world.node.status()["BackendState"] == "Running"


@test("the operator may change settings, for as long as the operator is one")
def operator(world):
    world.node.call("set", "--operator=nobody")
    assert world.as_nobody("set", "--nickname=mine").returncode == 0
    assert world.preferences()["ProfileName"] == "mine"
    world.node.call("set", "--operator=", "--nickname=")
    assert world.as_nobody("set", "--nickname=mine").returncode == 1
    # A number is nobody's name, whatever it means to other programs.
    world.node.call("set", f"--operator={NOBODY}", check=False)
    assert world.as_nobody("set", "--nickname=mine").returncode == 1
    world.node.call("set", "--operator=", check=False)


@test("a page in a browser reaches nothing, whatever name it finds us by")
def browsers(world):
    for fields in ({"Host": "evil.example"}, {"Host": "localhost"}, {"Host": "127.0.0.1"},
                   {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Referer": "http://evil.example/"},
                   {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-origin"}):
        for method, path in (("GET", "status"), ("POST", "logout")):
            status, text = world.ask(method, path, **fields)
            assert (status, text) == (403, "invalid localapi request\n"), (fields, status, text)
    assert world.node.status()["BackendState"] == "Running"
    answer = run("curl", "-si", "--unix-socket", world.node.socket, f"http://{HOST}/localapi/v0/status").stdout
    for field in ("X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "default-src 'none'"):
        assert field.lower() in answer.lower(), answer[:800]


@test("malformed and oversized bodies are refused, and the next client is served")
def damage(world):
    for body in ("{", "[]", "nul", '{"Hostname":1,"HostnameSet":true}', '{"Hostname":"-","HostnameSet":true}',
                 '{"RunSSH":true,"RunSSHSet":true}', "[" * 5000):
        status, text = world.ask("PATCH", "prefs", body)
        assert status == 400 and text, (body[:40], status, text)
    status, _ = world.ask("PATCH", "prefs", "{}", Transfer_Encoding="nonsense")
    assert status in (400, 501), status
    big = world.directory / "big"
    big.write_bytes(b" " * (8 << 20))
    answer = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PATCH", "-T", big, "--unix-socket",
                 world.node.socket, f"http://{HOST}/localapi/v0/prefs", check=False).stdout
    assert answer == "413", answer
    assert world.node.status()["BackendState"] == "Running"


@test("the command line shows what scripts expect")
def command_line(world):
    node, address, peer = world.node, world.node.ip(), world.other.ip()
    rows = node.call("status").stdout.splitlines()
    mine, theirs = rows[0].split(), rows[1].split()
    assert mine[:4] == [address, "alpha", "alice", "linux"] or mine[:2] == [address, "alpha"], rows
    assert theirs[:2] == [peer, "beta"], rows
    told = json.loads(node.call("status", "--json").stdout)
    assert told["BackendState"] == "Running" and told["Self"]["TailscaleIPs"][0] == address, told
    assert [known["HostName"] for known in told["Peer"].values()] == ["beta"], told
    assert not json.loads(node.call("status", "--json", "--peers=false").stdout)["Peer"]
    assert node.call("ip", "-4", "beta").stdout == f"{peer}\n"
    assert node.call("ip", "-1").stdout == f"{address}\n"
    pong = node.call("ping", "--until-direct=false", "-c", "3", "beta").stdout
    assert pong.startswith(f"pong from beta ({peer}) via "), pong
    assert " via TSMP in " in node.call("ping", "--tsmp", "beta").stdout
    assert "beta" in node.call("whois", peer).stdout and node.call("whois", "100.127.255.254", check=False).returncode == 1
    assert json.loads(node.call("whois", "--json", peer).stdout)["Node"]["Addresses"]
    assert node.call("wait", "--timeout", "60s").returncode == 0
    assert "Daemon: " in node.call("version", "--daemon").stdout
    assert node.call("get", "hostname").stdout == "alpha\n"
    report = node.call("netcheck").stdout
    assert report.startswith("\nReport:\n\t* Time: ") and "\t* DERP latency:" in report, report


@test("up refuses to drop settings silently, and what is not served by name")
def refusals(world):
    before = world.preferences()
    refused = world.node.call("up", "--shields-up", check=False)
    assert refused.returncode == 1 and f"--hostname=alpha --login-server={world.control.url}" in refused.stderr, refused
    for flags in (["--ssh"], ["--advertise-routes=10.0.0.0/8"], ["--exit-node=100.64.0.9"]):
        refused = world.node.call("set", *flags, check=False)
        assert refused.returncode == 1 and "is not served yet" in refused.stderr, refused
    assert world.preferences() == before
    secret = "martlet-auth-verysecretverysecret"
    for words in (["up", secret], ["status", f"--{secret}"], ["up", "--reset", secret]):
        refused = world.node.call(*words, check=False)
        assert refused.returncode == 2 and "verysecret" not in refused.stdout + refused.stderr, refused


@test("a new login gives the node a new key, and logging out ends it")
def logins(world):
    node, address = world.node, world.node.ip()
    before = node.status()["Self"]["PublicKey"]
    key = world.control.key()
    renewed = node.call("up", "--force-reauth", "--login-server", world.control.url, "--hostname=alpha", "--timeout", "60s",
                        f"--auth-key={key}")
    assert key not in renewed.stdout + renewed.stderr, renewed
    after = node.status()["Self"]["PublicKey"]
    assert after != before and node.ip() == address, (before, after)
    again = node.call("login", "--login-server", world.control.url, check=False)
    assert again.returncode == 1 and "logged in already" in again.stderr, again
    node.call("logout")
    gone = node.call("status", check=False)
    assert gone.returncode == 1 and gone.stdout.startswith("Logged out."), gone
    secret = world.directory / "key"
    secret.write_text(world.control.key() + "\n")
    node.call("login", "--login-server", world.control.url, "--hostname=alpha", "--auth-key", f"file:{secret}",
              "--timeout", "60s")
    assert node.status()["BackendState"] == "Running"


@test("a second daemon on the same socket refuses, and the first goes on")
def second(world):
    done = world.node.host.run(BINARIES / "martletd", "--statedir", world.directory / "second", "--socket",
                               world.node.socket, "--tun", "martlet9", "--port", "41999", check=False, timeout=60)
    assert done.returncode == 5 and done.stderr, done
    assert world.node.status()["BackendState"] == "Running"


if __name__ == "__main__":
    main(world)
