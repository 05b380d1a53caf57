#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One daemon and its host: state, locks, clean-up, neighbours, many nodes at once."""
import contextlib, json, os, pathlib, signal, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Control, Daemon, Host, Node, Skip, eventually, main, require_programs, require_root, run, scratch, test

COUNT = 20


class World:
    """A switch with a server and hosts on it, all in namespaces."""

    def __init__(self, directory):
        self.directory = directory
        self.hosts = {}
        self.switch = self.add("mtd-switch")
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.server = self.attach("mtd-server", 1)
        self.control = Control(self.server, directory / "control", "10.97.0.1").start()

    def add(self, name):
        run("ip", "netns", "delete", name, check=False)
        run("ip", "netns", "add", name)
        host = Host(name)
        host.run("ip", "link", "set", "lo", "up")
        self.hosts[name] = host
        return host

    def attach(self, name, number):
        host = self.add(name)
        port = f"port{number}"
        run("ip", "-n", name, "link", "add", "wire", "type", "veth", "peer", "name", port, "netns", "mtd-switch")
        self.switch.run("ip", "link", "set", port, "master", "bridge")
        self.switch.run("ip", "link", "set", port, "up")
        host.run("ip", "address", "add", f"10.97.0.{number}/24", "dev", "wire")
        host.run("ip", "link", "set", "wire", "up")
        host.run("ip", "route", "add", "default", "via", "10.97.0.1")
        return host

    def node(self, number, **options):
        host = self.hosts.get(f"mtd-node{number}") or self.attach(f"mtd-node{number}", number)
        return Node(host, self.directory / host.namespace, **options)

    def explain(self):
        print(f"--- server\n{self.control.daemon.tail(12)}", flush=True)
        for directory in sorted(self.directory.glob("mtd-node*"))[:3]:
            for log in directory.glob("*.log"):
                print(f"--- {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:]), flush=True)

    def close(self):
        for host in self.hosts.values():
            host.close()
        for name in self.hosts:
            run("ip", "netns", "delete", name, check=False)


@contextlib.contextmanager
def world():
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    with scratch("martlet-daemon-") as directory:
        made = World(directory)
        try:
            yield made
        finally:
            made.close()


def footprint(host):
    shown = []
    for what in (["link"], ["-4", "rule"], ["-6", "rule"], ["-4", "route", "show", "table", "all"],
                 ["-6", "route", "show", "table", "all"]):
        shown.append(sorted(line.split(" expires ")[0] for line in host.run("ip", "-o", *what).stdout.splitlines()))
    shown.append(host.run("nft", "list", "ruleset").stdout)
    return shown


@test("twenty nodes join at once and every one reaches every other")
def twenty(world):
    nodes = [world.node(100 + index) for index in range(COUNT)]
    key = world.control.key("--reusable")
    for node in nodes:
        node.daemon.start()
    for node in nodes:
        eventually("the daemon answers", node.answers)
    joining = [node.host.spawn(BINARIES / "martlet", "--socket", node.socket, "up", "--login-server",
                               world.control.url, "--auth-key", key, "--timeout", "120s") for node in nodes]
    assert [child.wait(timeout=180) for child in joining] == [0] * COUNT
    addresses = [node.ip() for node in nodes]
    assert len(set(addresses)) == COUNT
    for node in nodes:
        eventually("all peers are known", lambda: len(node.status().get("Peer") or {}) == COUNT - 1)
    for index, node in enumerate(nodes):
        for step in (1, 7):
            other = nodes[(index + step) % COUNT]
            eventually(f"{node.host} reaches {other.host}", lambda: node.reaches(other))
    world.twenty = nodes


@test("the survivors of twenty forget those that are deleted")
def forget(world):
    if not hasattr(world, "twenty"):
        raise Skip("twenty nodes did not come up")
    for node in world.twenty[2:]:
        node.daemon.stop()
    for listed in world.control.nodes():
        if listed["ip_addresses"][0] not in [node.ip() for node in world.twenty[:2]]:
            world.control.call("nodes", "delete", listed["id"], "--force")
    for node in world.twenty[:2]:
        eventually("one peer is left", lambda: len(node.status().get("Peer") or {}) == 1)
        node.daemon.stop()


@test("keys and state survive kill -9 at any moment")
def state(world):
    node = world.node(10).start()
    node.up(world.control)
    address = node.ip()
    for _ in range(5):
        node.daemon.kill()
        node.start()
        eventually("it runs again without a key", lambda: node.status()["BackendState"] == "Running")
        assert node.ip() == address
    mode = os.stat(node.directory / "state").st_mode & 0o777
    assert mode == 0o700, oct(mode)
    for file in (node.directory / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0, f"{file} is readable by others"
    world.first = node


@test("a second daemon on one state directory or one port refuses and says why")
def second(world):
    node = world.first
    same = node.host.run(BINARIES / "martletd", "--statedir", node.directory / "state", "--socket",
                         node.directory / "other.sock", "--tun", "martlet1", check=False, timeout=30)
    assert same.returncode != 0 and str(node.daemon.pid) in same.stderr, same.stderr
    port = node.host.run(BINARIES / "martletd", "--statedir", node.directory / "state2", "--socket",
                         node.directory / "other.sock", "--tun", "martlet1", "--port", "41641", check=False, timeout=30)
    assert port.returncode != 0 and "41641" in port.stderr and "in use" in port.stderr, port.stderr
    assert node.status()["BackendState"] == "Running"


@test("a corrupted state file is set aside with its content, and said so")
def corrupted(world):
    node = world.node(11).start()
    node.up(world.control)
    node.daemon.stop()
    files = [file for file in (node.directory / "state").iterdir() if file.suffix == ".state"]
    assert len(files) == 1, files
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    node.start()
    assert node.status()["BackendState"] == "NeedsLogin"
    aside = [file for file in files[0].parent.iterdir() if "corrupt" in file.name]
    assert len(aside) == 1 and aside[0].read_bytes() == whole[: len(whole) // 2], aside
    assert "corrupt" in node.daemon.log.read_text(), node.daemon.tail()
    node.daemon.stop()


@test("start, stop and clean-up leave the footprint of an installed Tailscale alone")
def neighbour(world):
    node = world.node(12)
    host = node.host
    host.run("ip", "tuntap", "add", "dev", "tailscale0", "mode", "tun")
    host.run("ip", "link", "set", "tailscale0", "up")
    host.run("ip", "address", "add", "100.99.98.97/32", "dev", "tailscale0")
    host.run("ip", "route", "add", "100.99.98.1/32", "dev", "tailscale0", "table", "52")
    for priority, mark, table in ((5210, "0x80000/0xff0000", "main"), (5230, "0x80000/0xff0000", "default")):
        host.run("ip", "rule", "add", "priority", priority, "fwmark", mark, "lookup", table)
    host.run("ip", "rule", "add", "priority", "5270", "lookup", "52")
    host.run("nft", "add", "table", "inet", "neighbour")
    eventually("addresses settle", lambda: "tentative" not in host.run("ip", "address").stdout)
    before = footprint(host)
    node.start()
    node.up(world.control)
    during = footprint(host)
    for kind, (had, has) in enumerate(zip(before, during)):
        if isinstance(had, list):
            assert set(had) <= set(has), f"kind {kind}: {set(had) - set(has)} went away"
    assert any("5310" in rule or "5370" in rule for rule in during[1]), during[1]
    node.daemon.stop()
    assert footprint(host) == before
    node.start()
    node.daemon.kill()
    host.run(BINARIES / "martletd", "--cleanup")
    assert footprint(host) == before


@test("an unprivileged user reads the status and changes nothing")
def unprivileged(world):
    node = world.first
    directory = node.directory
    while directory != directory.parent:
        os.chmod(directory, os.stat(directory).st_mode | 0o055 if str(directory).startswith("/tmp/martlet") else
                 os.stat(directory).st_mode)
        directory = directory.parent
    os.chmod(node.directory / "state", 0o700)
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    run(*node.host.command(*drop, BINARIES / "martlet", "--socket", node.socket, "status"))
    refused = run(*node.host.command(*drop, BINARIES / "martlet", "--socket", node.socket, "down"), check=False)
    assert refused.returncode != 0 and "denied" in refused.stderr.lower(), refused
    assert node.status()["BackendState"] == "Running"


CROWD = """
import socket, sys, time
held = []
for _ in range(700):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(5)
    try:
        one.connect(sys.argv[1])
    except OSError:
        pass
    held.append(one)
print("held", flush=True)
sys.stdin.read()
"""


@test("an unprivileged user who opens many connections locks nobody else out")
def crowd(world):
    node = world.first
    child = subprocess.Popen(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c", CROWD, str(node.socket)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "held\n"
        for _ in range(5):
            assert node.status()["BackendState"] == "Running"
    finally:
        child.stdin.close()
        child.wait(timeout=60)


@test("health tells that the coordination server is away, and no more once it is back")
def health(world):
    node = world.first
    assert not node.status().get("Health"), node.status()["Health"]
    world.control.daemon.kill()
    told = eventually("a warning names the server", lambda: [
        text for text in node.status().get("Health") or [] if world.control.url in text])
    assert "not reached" in told[0], told
    assert node.status()["BackendState"] == "Running"
    assert world.control.url in node.call("status").stdout + node.call("status").stderr
    world.control.start()
    eventually("the warning is gone", lambda: not node.status().get("Health"))


@test("what this node does not serve yet is refused by name, and nothing changes")
def unserved(world):
    node = world.first
    before = node.call("get", "--json", check=False).stdout
    for flag, named in (("--ssh", "SSH"), ("--accept-dns", "DNS"), ("--update-check", "updates"),
                        ("--netfilter-mode=on", "firewall"), ("--exit-node=100.64.0.9", "exit node"),
                        ("--advertise-routes=10.0.0.0/8", "routes")):
        refused = node.call("set", flag, check=False)
        assert refused.returncode != 0 and named in refused.stderr, (flag, refused)
    asked = node.host.run("curl", "-s", "-X", "PATCH", "--unix-socket", node.socket,
                          "-d", '{"CorpDNSSet": true, "CorpDNS": true}',
                          "http://local-tailscaled.sock/localapi/v0/prefs").stdout
    assert "CorpDNS" in asked and "not served yet" in asked, asked
    assert node.call("get", "--json", check=False).stdout == before


@test("down and up change the state; the interface follows")
def down_up(world):
    node = world.first
    node.call("down")
    eventually("it is stopped", lambda: node.status()["BackendState"] == "Stopped")
    assert "100." not in node.host.run("ip", "address", "show", "martlet0", check=False).stdout
    assert node.call("status", check=False).returncode == 1
    node.call("up")
    eventually("it runs", lambda: node.status()["BackendState"] == "Running")


@test("logout gives up the node and its key")
def logout(world):
    node = world.first
    address = node.ip()
    node.call("logout")
    eventually("it needs a login", lambda: node.status()["BackendState"] == "NeedsLogin")
    eventually("the server knows", lambda: not any(
        address in listed["ip_addresses"] and not listed.get("expired") for listed in world.control.nodes()))


@test("a key that serves no more is refused with the reason, and another one lets the node in")
def spent(world):
    key = world.control.key()
    first = world.node(14).start()
    first.up(world.control, key)
    second = world.node(15).start()
    refused = second.call("up", "--login-server", world.control.url, "--auth-key", key, "--timeout", "30s", check=False)
    assert refused.returncode != 0 and "used" in refused.stderr, refused
    assert key.rsplit("-", 1)[1] not in refused.stderr + second.daemon.log.read_text(), "the key is shown"
    assert second.status()["BackendState"] == "NeedsLogin"
    second.up(world.control)
    assert second.status()["BackendState"] == "Running"
    first.daemon.stop()
    second.daemon.stop()


@test("a key that comes from a file is in no argument list, no environment, no log and no open file")
def hidden(world):
    node = world.node(16).start()
    key = world.control.key()
    secret = key.rsplit("-", 1)[1].encode()
    file = node.directory / "key"
    file.touch(mode=0o600)
    file.write_text(key)
    child = node.host.spawn(BINARIES / "martlet", "--socket", node.socket, "up", "--login-server", world.control.url,
                            "--auth-key", f"file:{file}", "--timeout", "60s")
    while child.poll() is None:
        assert not seen(secret), "another process can read the key"
    assert child.returncode == 0 and not seen(secret)
    assert node.status()["BackendState"] == "Running"
    for log in (node.daemon.log, world.control.daemon.log):
        text = log.read_bytes()
        assert secret not in text and b"privkey:" not in text, f"{log} tells a secret"
    state = node.directory / "state"
    assert state.stat().st_mode & 0o777 == 0o700, oct(state.stat().st_mode)
    for one in state.rglob("*"):
        assert one.is_dir() or one.stat().st_mode & 0o077 == 0, f"{one} is for others to read"
        assert one.is_dir() or secret not in one.read_bytes(), f"{one} keeps the spent key"
    node.daemon.stop()


def seen(secret):
    """The processes whose arguments or environment hold the secret."""
    holders = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            # A process may end while it is looked at.
            with contextlib.suppress(OSError):
                if secret in (process / name).read_bytes():
                    holders.append(process)
    return holders


@test("interactive login waits for the administrator's command line")
def interactive(world):
    node = world.node(13).start()
    child = node.host.spawn(BINARIES / "martlet", "--socket", node.socket, "up", "--login-server", world.control.url,
                            "--timeout", "120s", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = eventually("the URL is shown", lambda: node.status().get("AuthURL"))
    page = node.host.run("curl", "-s", "--fail", url).stdout
    assert "martlet-control auth approve" in page, page
    assert node.status()["BackendState"] == "NeedsLogin"
    world.control.user("alice")
    world.control.call("auth", "approve", url.rstrip("/").rsplit("/", 1)[1], "--user", "alice")
    assert child.wait(timeout=60) == 0, child.stderr.read()
    assert node.status()["BackendState"] == "Running"
    node.daemon.stop()


if __name__ == "__main__":
    main(world)
