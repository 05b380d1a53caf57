#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""People and machines: roles, approval of nodes, posture, and a database of an older version."""
import contextlib, json, pathlib, sqlite3, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, Control, Node, eventually, main, test
from laboratory import laboratory

GOLD = """{
  "postures": {"posture:gold": ["custom:tier == 'gold'", "node:os == 'linux'"]},
  "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "srcPosture": ["posture:gold"]}],
}
"""
PORT = 8090


@contextlib.contextmanager
def server(lab, name, *extra):
    host = lab.hosts["server"]
    control = Control(host, lab.directory / name, host.addresses()[0], port=PORT, relay=False, extra=extra).start()
    try:
        yield control
    finally:
        control.daemon.stop()


def put(lab, control, text):
    path = lab.directory / "policy.hujson"
    path.write_text(text)
    control.call("policy", "set", path)


def joining(lab, control, name, key):
    """A node that asks to join, and the command that waits until it has."""
    node = Node(lab.hosts[name], lab.directory / f"approved-{name}").start()
    lab.nodes[name] = node
    return node, node.host.spawn(BINARIES / "martlet", "--socket", node.socket, "up", "--login-server", control.url,
                                 "--auth-key", key, "--timeout", "60s")


@test("nodes wait for approval and reach nobody until they have it; taken back, they lose access at once")
def approval(lab):
    with server(lab, "approval", "--node-approval") as control:
        key = control.key("--preauthorized")
        first, done = joining(lab, control, "lan1", key)
        assert done.wait(timeout=60) == 0, "a key that approves spares the waiting"
        second, waiting = joining(lab, control, "lan2", control.key())
        node = eventually("the second is known", lambda: next(
            (node for node in control.nodes() if not node["authorized"]), None))
        eventually("it says that it waits", lambda: second.status()["BackendState"] == "NeedsMachineAuth")
        assert waiting.poll() is None and not first.status().get("Peer"), first.status()
        control.call("nodes", "approve", node["id"])
        assert waiting.wait(timeout=60) == 0, "its command ends once it is approved"
        eventually("they reach each other", lambda: first.reaches(second) and second.reaches(first))
        address = second.ip()
        control.call("nodes", "withhold", node["id"])
        eventually("the first no longer sees it", lambda: not first.status().get("Peer"))
        assert not first.reaches(address)
        control.call("nodes", "approve", node["id"])
        eventually("they reach each other again", lambda: first.reaches(address))
        acts = [entry["action"] for entry in control.json("audit")]
        assert acts[:3] == ["node.approve", "node.withhold", "node.approve"], acts
        # What is known of posture opens and closes the way.
        put(lab, control, GOLD)
        eventually("nobody is gold", lambda: not first.reaches(address))
        name = next(node["given_name"] for node in control.nodes() if node["id"] != second_id(control, address))
        shown = control.json("nodes", "set-attribute", name, "custom:tier", "gold")
        assert shown["attributes"]["custom:tier"] == "gold" and shown["attributes"]["node:os"] == "linux", shown
        eventually("the first is gold", lambda: first.reaches(address))
        control.call("nodes", "unset-attribute", name, "custom:tier")
        eventually("nobody is gold again", lambda: not first.reaches(address))
        wrong = control.call("nodes", "set-attribute", name, "tier", "gold", check=False)
        assert wrong.returncode == 1 and "custom:" in wrong.stderr, wrong


def second_id(control, address):
    return next(node["id"] for node in control.nodes() if address in node["ip_addresses"])


@test("roles are given, kept over a restart, and one user owns the network")
def roles(lab):
    with server(lab, "roles") as control:
        for name in ("alice", "bob", "carol"):
            control.user(name)
        assert [user["role"] for user in control.json("users", "list")] == ["owner", "member", "member"]
        control.call("users", "role", "carol", "auditor")
        control.call("users", "role", "bob", "owner")
        refused = control.call("users", "role", "bob", "member", check=False)
        assert refused.returncode == 1 and "owns the network" in refused.stderr, refused
        assert control.call("users", "role", "bob", "king", check=False).returncode == 1
    with server(lab, "roles") as control:
        assert [user["role"] for user in control.json("users", "list")] == ["admin", "owner", "auditor"]


@test("a database of an older version is brought up to date, and nothing of it is lost")
def upgrade(lab):
    state = lab.directory / "old/state"
    state.mkdir(parents=True)
    old = sqlite3.connect(state / "control.sqlite")
    old.executescript((ROOT / "Fixtures/Databases/control-version-2.sql").read_text())
    old.close()
    with server(lab, "old") as control:
        users = control.json("users", "list")
        assert [(user["name"], user["role"]) for user in users] == [("alice", "owner"), ("bob", "member")], users
        node = control.nodes()[0]
        assert node["given_name"] == "printer" and node["authorized"] and node["user"]["name"] == "bob", node
        assert not control.json("preauthkeys", "list")[0]["preauthorized"]
        assert json.loads(control.json("policy", "get")["policy"])["grants"][0]["src"] == ["autogroup:owner"]
        control.call("users", "create", "carol")
        assert len(control.json("audit")) == 6


if __name__ == "__main__":
    main(lambda: laboratory("mtu"))
