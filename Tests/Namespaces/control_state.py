#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What martlet-control keeps: backups while it runs, restoring, other servers' databases, a power cut under load."""
import base64, contextlib, json, os, pathlib, shutil, sqlite3, sys, threading, urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, Control, Host, eventually, main, require_programs, require_root, run, scratch, test

NAMESPACE = "mts-control"
#: How often the server is killed under load; MARTLET_KILLS=100 for the whole number.
KILLS = int(os.environ.get("MARTLET_KILLS", "3"))


class World:
    def __init__(self, host, directory):
        self.host, self.directory, self.started = host, directory, []

    def control(self, name, **options):
        self.started.append(Control(self.host, self.directory / name, "127.0.0.1", relay=False, **options))
        return self.started[-1]

    def program(self, *arguments, check=False, **options):
        return self.host.run(BINARIES / "martlet-control", *arguments, check=check, **options)

    def explain(self):
        for control in self.started:
            print(f"--- {control.directory}\n{control.daemon.tail(12)}", flush=True)


@contextlib.contextmanager
def world():
    require_root()
    require_programs("martlet-control")
    run("ip", "netns", "delete", NAMESPACE, check=False)
    run("ip", "netns", "add", NAMESPACE)
    host = Host(NAMESPACE)
    try:
        host.run("ip", "link", "set", "lo", "up")
        with scratch("mt-state-") as directory:
            yield World(host, directory)
    finally:
        host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


def add(control, name, check=True):
    """A node that needs nobody to play it."""
    return control.call("nodes", "add-wireguard", "--user", "alice", "--name", name, "--public-key",
                        base64.b64encode(os.urandom(32)).decode(), "--endpoint", "192.0.2.1:51820", check=check)


@test("A backup that is made while others write holds one moment, and a server goes on from it")
def backup(world):
    control = world.control("saved").start()
    control.user()
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            name = f"n{len(written)}"
            add(control, name)
            written.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually("nodes are there", lambda: len(written) > 5)
        before = len(written)
        place = world.directory / "backup"
        control.call("backup", place)
        after = len(written) + 1
    finally:
        stop.set()
        writer.join()
    assert (place.stat().st_mode & 0o777, (place / "noise.key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (place / "control.sqlite").stat().st_mode & 0o777 == 0o600
    assert world.program("--socket", control.socket, "backup", place).returncode == 1, "a place that is taken"
    assert any(row["action"] == "server.backup" for row in control.json("audit"))
    running = world.program("restore", place, "--state", control.directory / "state")
    assert running.returncode == 5, f"restored under a running server: {running.stderr}"
    key = world.host.run("curl", "-s", control.url + "/key?v=138").stdout
    control.daemon.stop()
    other = world.control("restored")
    told = world.program("restore", place, "--state", other.directory / "state", check=True)
    assert "Restored" in told.stdout
    other.start()
    names = [node["name"] if node.get("name") else node["given_name"] for node in other.nodes()]
    assert before <= len(names) <= after and len(set(names)) == len(names), (before, len(names), after)
    assert world.host.run("curl", "-s", other.url + "/key?v=138").stdout == key, "the server's key is another"
    add(other, "later")
    other.daemon.stop()
    told = world.program("restore", place, "--state", other.directory / "state", check=True)
    assert "before-restore" in told.stdout
    assert list((other.directory / "state").glob("control.sqlite.before-restore-*"))
    (place / "control.sqlite").write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    broken = world.program("restore", place, "--state", other.directory / "state")
    assert broken.returncode == 1 and "damaged" in broken.stderr, broken.stderr
    other.start()
    assert len(other.nodes()) == len(names), "a damaged backup changed something"
    other.daemon.stop()


@test("An older database is copied before it is brought up to date; one of the future is refused")
def upgrade(world):
    control = world.control("upgraded")
    state = control.directory / "state"
    state.mkdir(parents=True, mode=0o700)
    old = sqlite3.connect(state / "control.sqlite")
    old.executescript((ROOT / "Fixtures/Databases/control-version-2.sql").read_text())
    users = [name for (name,) in old.execute("SELECT name FROM users ORDER BY id")]
    old.close()
    control.start()
    assert [user["name"] for user in control.json("users", "list")] == users
    kept = sqlite3.connect(state / "control.sqlite.version-2")
    assert kept.execute("PRAGMA user_version").fetchone() == (2,)
    assert (state / "control.sqlite.version-2").stat().st_mode & 0o777 == 0o600
    control.daemon.stop()
    future = sqlite3.connect(state / "control.sqlite")
    future.execute("PRAGMA user_version = 999")
    future.close()
    refused = world.program("serve", "--listen", "127.0.0.1:8080", "--url", control.url, "--state", state, "--socket", control.socket)
    assert refused.returncode == 1 and "newer" in refused.stderr, refused.stderr


@test("A network of headscale is shown first, then taken over with its nodes, names, routes and policy")
def headscale(world):
    database = world.directory / "headscale.sqlite"
    old = sqlite3.connect(database)
    old.executescript((ROOT / "Fixtures/Databases/headscale.sql").read_text())
    old.close()
    before = database.read_bytes()
    control = world.control("taken")
    state = control.directory / "state"
    shown = world.program("import", "headscale", database, "--state", state, check=True).stdout
    assert "Nothing was written" in shown and not state.exists()
    for words in ("laptop", "tag:web", "100.64.0.3", "'7 bad'", "node 'lost'", "node 'odd'", "1 auth keys"):
        assert words in shown, f"{words} is missing in: {shown}"
    world.program("import", "headscale", database, "--state", state, "--apply", check=True)
    assert database.read_bytes() == before
    control.start()
    nodes = {node["given_name"]: node for node in control.nodes()}
    assert sorted(nodes) == ["laptop", "phone", "web"]
    assert nodes["laptop"]["ip_addresses"] == ["100.64.0.1", "fd7a:115c:a1e0::1"] and nodes["laptop"]["user"]["name"] == "alice"
    assert nodes["laptop"]["approved_routes"] == ["10.1.0.0/16"] and nodes["laptop"]["expiry"] is None
    assert nodes["web"]["tags"] == ["tag:web"] and nodes["phone"]["expiry"].startswith("2038-")
    assert control.call("policy", "get").stdout.startswith("// everybody")
    add(control, "fresh")
    fresh = [node for node in control.nodes() if node["given_name"] == "fresh"][0]
    assert fresh["ip_addresses"][0] not in ("100.64.0.1", "100.64.0.2", "100.64.0.3") and int(fresh["id"]) > 3
    control.daemon.stop()
    again = world.program("import", "headscale", database, "--state", state, "--apply")
    assert again.returncode == 1 and "holds 2 users and 4 nodes" in again.stderr, again.stderr
    strange = world.program("import", "headscale", state / "control.sqlite", "--state", world.directory / "x")
    assert strange.returncode == 1, "any database was taken for headscale's"


@test("Killed again and again while it writes, the server keeps all that it acknowledged, and addresses stay unique")
def killed(world):
    control = world.control("killed").start()
    control.user()
    acknowledged = []
    for round_ in range(KILLS):
        stop = threading.Event()

        def write(worker):
            number = 0
            while not stop.is_set():
                name = f"r{round_}w{worker}n{number}"
                if add(control, name, check=False).returncode == 0:
                    acknowledged.append(name)
                number += 1

        writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
        count = len(acknowledged)
        for writer in writers:
            writer.start()
        eventually("something is acknowledged", lambda: len(acknowledged) > count + round_ % 4, pause=0.01)
        control.daemon.kill()
        stop.set()
        for writer in writers:
            writer.join()
        control.start()
        nodes = control.nodes()
        names = {node["given_name"] for node in nodes}
        missing = [name for name in acknowledged if name not in names]
        assert not missing, f"lost after kill {round_}: {missing}"
        addresses = [address for node in nodes for address in node["ip_addresses"]]
        assert len(addresses) == 2 * len(nodes) == len(set(addresses)), "addresses are not unique"
    control.daemon.stop()


@test("While another holds the database the server refuses writes and says so, and goes on afterwards")
def locked(world):
    control = world.control("locked").start()
    control.user()
    other = sqlite3.connect(control.directory / "state/control.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = add(control, "refused", check=False)
    assert refused.returncode == 1 and "uses" in refused.stderr, refused.stderr
    other.execute("ROLLBACK")
    other.close()
    eventually("writes are taken again", lambda: add(control, "taken", check=False).returncode == 0)
    assert [node["given_name"] for node in control.nodes()] == ["taken"]
    control.daemon.stop()


@test("Counters are told to Prometheus where the operator said, and nowhere else")
def metrics(world):
    control = world.control("counted", extra=("--metrics-listen", "127.0.0.1:9091")).start()
    control.user()
    add(control, "one")
    page = world.host.run("curl", "-sf", "http://127.0.0.1:9091/metrics").stdout
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert values["martlet_control_nodes"] == "1" and int(values["martlet_control_store_commits_total"]) >= 2
    assert page.count("# TYPE") == len(values) == page.count("# HELP")
    assert world.host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", control.url + "/metrics").stdout == "404"
    assert world.host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9091/api/v1/user").stdout == "404"
    assert world.host.run("curl", "-s", "--unix-socket", control.socket, "http://x/metrics").stdout.startswith("# HELP")
    control.daemon.stop()


if __name__ == "__main__":
    main(world)
