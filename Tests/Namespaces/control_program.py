#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program martlet-control: its life, its state, and its administrator's command line."""
import contextlib, http.client, json, os, pathlib, random, shutil, socket, sys, threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Control, Host, eventually, main, require_programs, require_root, run, scratch, test

NOBODY = 65534
NAMESPACE = "mtp-control"
USAGE, CONFIGURATION, PERMISSION, ALREADY_RUNNING = 2, 3, 4, 5


class World:
    def __init__(self, directory):
        self.directory = directory
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")
        self.started = []

    def control(self, name, **options):
        control = Control(self.host, self.directory / name, "127.0.0.1", **options)
        self.started.append(control)
        return control

    def program(self, *arguments, **options):
        return self.host.run(BINARIES / "martlet-control", *arguments, check=False, **options)

    def explain(self):
        for control in self.started:
            print(f"--- {control.directory}\n{control.daemon.tail(12)}", flush=True)

    def close(self):
        self.host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


@contextlib.contextmanager
def world():
    require_programs("martlet-control")
    require_root()
    with scratch("martlet-control-") as directory:
        made = World(directory)
        try:
            yield made
        finally:
            made.close()


@contextlib.contextmanager
def running(world, name, **options):
    control = world.control(name, **options).start()
    try:
        yield control
    finally:
        control.daemon.stop()


class UnixConnection(http.client.HTTPConnection):
    """The administrator's interface without the command line, for speed."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)

    def post(self, what, body):
        self.request("POST", f"/api/v1/{what}", json.dumps(body), {"Content-Type": "application/json"})
        answer = self.getresponse()
        value = json.loads(answer.read())
        assert answer.status == 200, value
        return value


@test("help lists what there is, and every command it lists has help of its own")
def help(world):
    shown = world.program("--help")
    assert shown.returncode == 0 and shown.stderr == "", shown
    for words in (["serve"], ["users", "create"], ["nodes", "list"], ["nodes", "delete"], ["preauthkeys", "create"],
                  ["auth", "approve"], ["auth", "reject"]):
        shown = world.program(*words, "--help")
        assert shown.returncode == 0 and words[-1] in shown.stdout, (words, shown)
    assert "0." in world.program("--version").stdout
    assert world.program("version").returncode == 0


@test("what is not understood ends with 2, a wrong configuration with 3; each says what to do")
def codes(world):
    for arguments in (["serve", "--no-such-flag"], ["nodes", "show"], ["users", "list", "--output", "xml"],
                      ["serve", "--ephemeral-timeout", "soon"], []):
        done = world.program(*arguments)
        assert done.returncode == USAGE and done.stderr and not done.stdout, (arguments, done)
    state = ["--state", world.directory / "never"]
    url = ["--url", "http://127.0.0.1:8080"]
    for arguments in ([], ["--url", "nonsense"], [*url, "--ipv4-prefix", "10.0.0.0/8x"], [*url, "--ipv4-prefix", "0.0.0.0/0"],
                      [*url, "--listen", "here"], [*url, "--tls-cert", "/nowhere"], [*url, "--derp-map", "/nowhere"],
                      [*url, "--tls-cert", "/dev/null", "--tls-key", "/dev/null"], [*url, "--domain", "127.0.0.1..x"],
                      [*url, "--derp", "--derp-region", "1"]):
        done = world.program("serve", *state, *arguments)
        assert done.returncode == CONFIGURATION and done.stderr, (arguments, done)
    assert not (world.directory / "never").exists()
    relays = world.directory / "relays.json"
    for content in ("", "nonsense", "[]", '{"Regions":{"x":{}}}', '{"Regions":{"1":{"RegionID":"x"}}}'):
        relays.write_text(content)
        done = world.program("serve", *state, *url, "--derp-map", relays)
        assert done.returncode == CONFIGURATION and str(relays) in done.stderr, (content, done)
    settings = world.directory / "settings.json"
    settings.write_text('{"no-such-key": 1}')
    done = world.program("serve", *state, *url, "--config", settings)
    assert done.returncode == CONFIGURATION and "no-such-key" in done.stderr, done


@test("the command line: users, keys, nodes, in words and as JSON")
def command_line(world):
    with running(world, "commands") as control:
        assert control.json("users", "list") == []
        made = control.json("users", "create", "alice", "--display-name", "Alice", "--email", "alice@example.org")
        assert made["name"] == "alice" and made["display_name"] == "Alice" and isinstance(made["id"], int), made
        assert control.call("users", "create", "alice", check=False).returncode == 1
        assert "alice" in control.call("users", "list").stdout
        key = control.json("preauthkeys", "create", "--user", "alice", "--reusable", "--ephemeral", "--expiration", "2h",
                           "--tags", "tag:web,tag:db")
        assert key["key"].startswith("martlet-auth-") and key["reusable"] and key["ephemeral"], key
        assert key["acl_tags"] == ["tag:db", "tag:web"], key
        plain = control.call("preauthkeys", "create", "--user", "alice").stdout.strip()
        listed = control.call("preauthkeys", "list", "--output", "json").stdout
        assert key["key"] not in listed and plain not in listed and plain[:25] in listed
        control.call("preauthkeys", "expire", key["id"])
        for bad in (["nodes", "show", "9"], ["nodes", "rename", "9", "x"], ["preauthkeys", "expire", "77"],
                    ["auth", "approve", "0" * 32], ["auth", "reject", "nonsense"], ["users", "create", "-x"],
                    ["preauthkeys", "create", "--user", "nobody"], ["preauthkeys", "create"]):
            done = control.call(*bad, check=False)
            assert done.returncode in (1, 2) and done.stderr, (bad, done)
        public = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
        node = control.json("nodes", "add-wireguard", "--user", "alice", "--name", "router", "--public-key", public,
                            "--endpoint", "192.0.2.7:51820")
        assert node["is_wire_guard_only"] and len(node["ip_addresses"]) == 2, node
        assert node["node_key"] == "nodekey:" + bytes(range(1, 33)).hex(), node
        assert control.json("nodes", "show", "router")["ip_addresses"] == node["ip_addresses"]
        assert node["ip_addresses"][0] in control.call("nodes", "show", "router").stdout
        assert "router" in control.call("nodes", "list", "--user", "alice").stdout
        assert control.json("nodes", "rename", "router", "gateway")["given_name"] == "gateway"
        assert control.json("nodes", "tag", "--tags", "tag:edge", "gateway")["tags"] == ["tag:edge"]
        assert control.json("nodes", "expire", "gateway")["expired"] is True
        assert control.json("nodes", "expire", "--never", "gateway")["expired"] is False
        control.call("nodes", "delete", "gateway", "--force")
        assert control.json("nodes", "list") == []
        acts = [entry["action"] for entry in control.json("audit")]
        assert acts[:2] == ["node.delete", "node.expire"], acts


@test("nobody but root administers it")
def unprivileged(world):
    with running(world, "guarded") as control:
        control.user("alice")
        # Everything that leads there is open, so that the socket itself decides.
        for path in (world.directory, control.directory):
            os.chmod(path, 0o755)
        program = world.directory / "martlet-control"
        shutil.copy(BINARIES / program.name, program)
        as_nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program]
        create = [*as_nobody, "--socket", control.socket, "users", "create", "mallory"]
        done = world.host.run(*create, check=False)
        assert done.returncode == PERMISSION and "root" in done.stderr, done
        # Even a socket that somebody opened to all asks who is there.
        os.chmod(control.socket, 0o666)
        done = world.host.run(*create, check=False)
        assert done.returncode == PERMISSION and "root" in done.stderr, done
        assert [user["name"] for user in control.json("users", "list")] == ["alice"]
        assert oct(os.stat(control.directory / "state").st_mode)[-3:] == "700"


@test("a second server on the same state, port or socket refuses, and the first goes on")
def second(world):
    with running(world, "first") as control:
        url = ["--url", control.url]
        mine = [*url, "--state", control.directory / "state"]
        done = world.program("serve", *mine, "--listen", "127.0.0.1:9099", "--socket", world.directory / "x.sock")
        assert done.returncode == ALREADY_RUNNING and "Another martlet-control" in done.stderr, done
        other = [*url, "--state", world.directory / "other"]
        done = world.program("serve", *other, "--listen", "0.0.0.0:8080", "--socket", world.directory / "x.sock")
        assert done.returncode == ALREADY_RUNNING and "8080" in done.stderr, done
        done = world.program("serve", *other, "--listen", "127.0.0.1:9099", "--socket", control.socket)
        assert done.returncode == ALREADY_RUNNING and str(control.socket) in done.stderr, done
        assert control.user() == "alice" and control.ready()


@test("what was acknowledged survives kill -9 at any moment")
def killed(world):
    control = world.control("killed")
    acknowledged, stop = [], threading.Event()

    def write(number):
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = UnixConnection(control.socket)
            for round in range(10_000):
                name = f"u{number}-{len(acknowledged)}-{round}"
                made = connection.post("user", {"name": name})["user"]
                key = connection.post("preauthkey", {"user": name, "aclTags": []})["preAuthKey"]
                acknowledged.append((made["id"], name, key["id"]))

    chance = random.Random(4)
    identity = None
    for round in range(5):
        control.start()
        key = world.host.run("curl", "-s", "--fail", f"{control.url}/key?v=138").stdout
        assert identity in (None, key), "the server's key changed"
        identity = key
        known = {(int(user["id"]), user["name"]) for user in control.json("users", "list")}
        keys = {int(key["id"]) for key in control.json("preauthkeys", "list")}
        for user, name, key in acknowledged:
            assert (int(user), name) in known and int(key) in keys, f"{name} was acknowledged and is lost"
        before = len(acknowledged)
        writers = [threading.Thread(target=write, args=(f"{round}x{index}",)) for index in range(4)]
        for writer in writers:
            writer.start()
        wanted = before + chance.randrange(5, 60)
        eventually("some writes are acknowledged", lambda: len(acknowledged) >= wanted, pause=0.001)
        control.daemon.kill()
        for writer in writers:
            writer.join()
    assert len({user for user, _, _ in acknowledged}) == len(acknowledged), "a number was given twice"
    control.start()
    control.daemon.stop()


@test("a damaged database is set aside with its content, said so, and not replaced by an empty one")
def damaged(world):
    control = world.control("damaged").start()
    control.user("alice")
    control.daemon.stop()
    database = control.directory / "state/control.sqlite"
    whole = database.read_bytes()
    database.write_bytes(b"this is no database, whatever its name" * 100)
    done = control.host.run(BINARIES / "martlet-control", *control.daemon.arguments, check=False)
    assert done.returncode == 1 and "set aside" in done.stderr and str(database) in done.stderr, done
    aside = control.directory / "state/control.sqlite.damaged-1"
    assert aside.read_bytes().startswith(b"this is no database")
    done = control.host.run(BINARIES / "martlet-control", *control.daemon.arguments, check=False)
    assert done.returncode == 1 and "missing" in done.stderr, done
    database.write_bytes(whole)
    control.start()
    assert [user["name"] for user in control.json("users", "list")] == ["alice"]
    control.daemon.stop()


@test("a full disk refuses in words, loses nothing, and is forgotten once there is room")
def full_disk(world):
    directory = world.directory / "full"
    directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory)
    try:
        with running(world, "full") as control:
            control.user("alice")
            filler = directory / "filler"
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            refused = None
            for number in range(2000):
                refused = control.call("users", "create", f"user{number}", check=False)
                if refused.returncode != 0:
                    break
            assert refused.returncode == 1 and "full" in refused.stderr, refused
            filler.unlink()
            eventually("there is room again", lambda: control.call("users", "create", "bob", check=False).returncode == 0)
            names = [user["name"] for user in control.json("users", "list")]
            assert names == ["alice", *[f"user{index}" for index in range(number)], "bob"], names
    finally:
        run("umount", "--lazy", directory)


@test("it serves TLS with the certificate it is given")
def tls(world):
    directory = world.directory / "tls"
    directory.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "key.pem",
        "-out", directory / "cert.pem")
    extra = ["--tls-cert", directory / "cert.pem", "--tls-key", directory / "key.pem"]
    with running(world, "tls/server", extra=extra) as control:
        done = control.host.run("curl", "-s", "--fail", "--cacert", directory / "cert.pem",
                                "https://localhost:8080/key?v=138")
        assert json.loads(done.stdout)["publicKey"].startswith("mkey:"), done
        assert control.host.run("curl", "-s", "https://localhost:8080/key?v=138", check=False).returncode == 60


@test("it tells the service manager when it serves and when it stops, and takes settings from file and environment")
def service(world):
    directory = world.directory / "service"
    directory.mkdir()
    settings = directory / "settings.json"
    settings.write_text(json.dumps({"domain": "file.example", "ipv4-prefix": "100.100.0.0/24"}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(directory / "notify"))
        manager.settimeout(60)
        control = world.control("service/server", relay=False, extra=["--config", settings])
        control.daemon.environment = {
            "NOTIFY_SOCKET": str(directory / "notify"), "MARTLET_CONTROL_DOMAIN": "environment.example"}
        control.start()
        assert b"READY=1" in manager.recv(4096)
        node = control.json("nodes", "add-wireguard", "--user", control.user(), "--name", "router", "--public-key",
                            "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "--endpoint", "192.0.2.7:51820")
        assert node["fqdn"] == "router.environment.example" and node["ip_addresses"][0].startswith("100.100.0."), node
        control.daemon.stop()
        assert b"STOPPING=1" in manager.recv(4096)


@test("it stops on SIGTERM within moments, and leaves no socket")
def stops(world):
    control = world.control("stops").start()
    control.daemon.stop()
    assert control.daemon.child.returncode == 0, control.daemon.child.returncode
    assert not control.socket.exists()


if __name__ == "__main__":
    main(world)
