#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may reach whom: the policy's commands, and nodes that gain and lose access while they talk."""
import json, pathlib, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Control, Node, eventually, main, run, test
from laboratory import laboratory

OPEN = '{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}'
CLOSED = '{"grants": []}'
ONE_WAY = """{
  // The first may ping the second, and nobody anybody else.
  "tagOwners": {"tag:a": [], "tag:b": [],},
  "grants": [{"src": ["tag:a"], "dst": ["tag:b"], "ip": ["icmp:*", "tcp:22"]}],
  "ssh": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b"], "users": ["root"]}],
  "tests": [{"src": "tag:a", "accept": ["tag:b:22"], "deny": ["tag:b:23"]}],
}
"""


def world():
    return laboratory("mtq")


def written(lab, name, text):
    path = lab.directory / name
    path.write_text(text)
    return path


def put(lab, text, **options):
    return lab.control.call("policy", "set", written(lab, "policy.hujson", text), **options)


def blocked(source, target):
    return not source.reaches(target)


def within(seconds, what, probe):
    begun = time.monotonic()
    eventually(what, probe)
    taken = time.monotonic() - begun
    print(f"    {what}: after {taken:.2f} s", flush=True)
    # A ping that is not answered takes a second by itself.
    assert taken < seconds + 2, f"{what}: after {taken:.2f} s"


@test("nodes gain and lose access within a second of a change, while they talk")
def access(lab):
    for name, tag in (("lan1", "tag:a"), ("lan2", "tag:b")):
        lab.control.user()
        key = lab.control.json("preauthkeys", "create", "--user", "alice", "--tags", tag)["key"]
        node = Node(lab.hosts[name], lab.directory / name).start()
        lab.nodes[name] = node
        node.up(lab.control, key)
    first, second = lab.nodes["lan1"], lab.nodes["lan2"]
    eventually("all may talk without a policy", lambda: first.reaches(second) and second.reaches(first))
    address = second.ip()
    put(lab, CLOSED)
    within(1, "nobody may talk", lambda: blocked(first, address))
    eventually("nobody is seen", lambda: not (first.status().get("Peer") or {}))
    put(lab, ONE_WAY)
    within(1, "one may talk", lambda: first.reaches(address))
    assert blocked(second, first.ip()), "the other may not"
    peer = first.peer(address)
    assert peer is not None and second.peer(first.ip()) is not None, "both see each other"
    put(lab, OPEN)
    within(1, "both may talk", lambda: second.reaches(first))


@test("a wrong policy is refused with its place and changes nothing; a failing test too")
def wrong(lab):
    put(lab, ONE_WAY)
    before = lab.control.json("policy", "get")
    for text, words in (
        ('{\n "acls": [{"action": "accept", "src": ["tag:none"], "dst": ["*:*"]}]}', '2:40: tag not found: "tag:none"'),
        ('{"nonsense": 1}', '1:2: unknown field "nonsense"'), ("{", "1:2:"),
        ('{"tagOwners": {"tag:a": []}, "acls": [], "tests": [{"src": "tag:a", "accept": ["tag:a:22"]}]}', "test(s) failed"),
        ('{"groups": {"group:a": ["group:a"]}}', "a group cannot have another group"),
    ):
        for command in ("set", "check"):
            done = lab.control.call("policy", command, written(lab, "wrong.hujson", text), check=False)
            assert done.returncode == 1 and words in done.stderr, (command, text, done)
    assert lab.control.json("policy", "get") == before
    assert "valid" in lab.control.call("policy", "check", written(lab, "right.hujson", ONE_WAY)).stdout


@test("history, rollback, difference and edit")
def history(lab):
    put(lab, OPEN)
    put(lab, ONE_WAY)
    policies = lab.control.json("policy", "history")
    assert len(policies) >= 2 and policies[0]["id"] == policies[1]["id"] + 1, policies
    change = lab.control.json("policy", "diff", written(lab, "closed.hujson", CLOSED))
    assert change["gained"] == [] and len(change["lost"]) == 1, change
    assert change["lost"][0]["access"] == ["1:*", "6:22", "ssh root"], change
    shown = lab.control.call("policy", "rollback").stdout
    assert str(policies[1]["id"]) in shown, shown
    assert lab.control.json("policy", "get")["policy"] == OPEN
    assert lab.control.call("policy", "get", "--id", policies[0]["id"]).stdout == ONE_WAY
    assert lab.control.call("policy", "rollback", "9999", check=False).returncode == 1
    editor = written(lab, "editor", "#!/bin/sh\nsed -i 's/\"\\*\"\\], \"dst\"/\"tag:a\"], \"dst\"/' \"$1\"\nsed -i 's/^{/{\"tagOwners\": {\"tag:a\": []}, /' \"$1\"\n")
    editor.chmod(0o755)
    done = lab.control.host.run("env", f"EDITOR={editor}", BINARIES / "martlet-control", "--socket", lab.control.socket,
                                "policy", "edit")
    assert "in force" in done.stdout, done
    assert '"src": ["tag:a"]' in lab.control.call("policy", "get").stdout
    assert any(entry["action"] == "policy.set" for entry in lab.control.json("audit"))


@test("the policy and its history are there after a restart; a bad file at start leaves the last good one")
def restart(lab):
    put(lab, ONE_WAY)
    kept = lab.control.json("policy", "get")
    lab.control.daemon.stop()
    bad = written(lab, "bad.hujson", '{"acls": [')
    again = Control(lab.control.host, lab.control.directory, lab.control.address, extra=["--policy", bad])
    lab.control = again.start()
    assert lab.control.json("policy", "get") == kept
    assert "the last good one stays in force" in again.daemon.tail(200), again.daemon.tail(50)
    again.daemon.stop()
    good = written(lab, "good.hujson", OPEN)
    lab.control = Control(lab.control.host, lab.control.directory, lab.control.address, extra=["--policy", good]).start()
    assert lab.control.json("policy", "get")["policy"] == OPEN


@test("policy eval and check need no server, and end with 1 where a policy is wrong")
def evaluation(lab):
    topology = {"users": [{"id": 1, "name": "ann", "email": "ann@a.example"}], "nodes": {
        "one": {"hostname": "one", "user": "ann", "tags": [], "ipv4": "100.64.0.1", "ipv6": "fd7a:115c:a1e0::1",
                "routable_ips": [], "approved_routes": []},
        "two": {"hostname": "two", "tags": ["tag:b"], "ipv4": "100.64.0.2", "ipv6": "fd7a:115c:a1e0::2",
                "routable_ips": [], "approved_routes": []}}}
    nodes = written(lab, "topology.json", json.dumps(topology))
    policy = written(lab, "eval.hujson", '{"tagOwners": {"tag:b": ["ann@"]}, "grants": '
                     '[{"src": ["ann@"], "dst": ["tag:b"], "ip": ["tcp:22"]}]}')
    program = BINARIES / "martlet-control"
    done = run(program, "policy", "eval", "--policy", policy, "--topology", nodes, "--format", "json")
    report = json.loads(done.stdout)
    assert report["valid"] and report["nodes"]["one"]["peers"] == ["two"], report
    assert report["nodes"]["two"]["packet_filter_rules"] == [
        {"SrcIPs": ["100.64.0.1", "fd7a:115c:a1e0::1"], "IPProto": [6], "DstPorts": [
            {"IP": address, "Ports": {"First": 22, "Last": 22}} for address in ("100.64.0.2", "fd7a:115c:a1e0::2")]}]
    one = json.loads(run(program, "policy", "eval", "--policy", policy, "--topology", nodes, "--node", "one").stdout)
    assert list(one["nodes"]) == ["one"], one
    wrong = written(lab, "wrong.hujson", '{"acls": 1}')
    done = run(program, "policy", "eval", "--policy", wrong, "--topology", nodes, check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["error"].startswith("1:10: acls must be a list"), done
    assert run(program, "policy", "check", policy, "--topology", nodes).returncode == 0
    assert run(program, "policy", "check", wrong, "--topology", nodes, check=False).returncode == 1
    for bad in (["--policy", policy, "--topology", "/nowhere"], ["--policy", "/nowhere", "--topology", nodes],
                ["--policy", policy, "--topology", nodes, "--node", "none"]):
        assert run(program, "policy", "eval", *bad, check=False).returncode == 1, bad


if __name__ == "__main__":
    main(world)
