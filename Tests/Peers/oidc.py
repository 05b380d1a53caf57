#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logging in with an identity provider: authlib's, a stock client, and a browser that follows its link.

The provider demands a hashed challenge (PKCE) and a nonce, and can be told to do each thing wrong.
"""
import contextlib, json, os, pathlib, subprocess, sys

os.environ.setdefault("MARTLET_PEERS_PREFIX", "mto")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import Control, Node, eventually, main, require_programs, require_root, require_tool, scratch, test
from packages import installed
from stock import Network, Stock, caddy

PROVIDER = "oidc-provider-mock==0.3.4"
HARNESS = pathlib.Path(__file__).resolve().parents[1] / "Harness"
ISSUER = "http://10.99.0.1:5556"
SECRET = "a secret/with+odd:characters"
POLICY = """{
  "grants": [{"src": ["group:eng"], "dst": ["group:ops"], "ip": ["tcp:8080"]}],
}
"""


class World:
    def __init__(self, directory):
        self.directory = directory
        self.network = Network()
        self.controls, self.clients = [], []
        self.provider = None

    def start_provider(self, algorithm="RS256"):
        if self.provider is not None:
            self.provider.kill()
            self.provider.wait()
        python = installed(PROVIDER) / "bin/python"
        log = open(self.directory / "provider.log", "ab")
        self.provider = self.network.hosts["server"].spawn(
            python, HARNESS / "oidc_provider.py", "10.99.0.1", "5556", algorithm, stdout=log, stderr=log)
        eventually("the provider answers", lambda: self.curl("/keys"))

    def curl(self, path, *fields):
        return self.network.hosts["server"].run("curl", "-s", "--fail", *fields, ISSUER + path, check=False).stdout

    @contextlib.contextmanager
    def fault(self, name):
        self.curl("/fault", "-d", f"name={name}")
        try:
            yield
        finally:
            self.curl("/fault", "-d", "name=")

    def control(self, name, port=8080, **settings):
        directory = self.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        secret = directory / "secret"
        secret.write_text(SECRET + "\n")
        config = directory / "control.json"
        # The keys as headscale's file has them.
        config.write_text(json.dumps({"oidc": {"issuer": ISSUER, "client_id": "martlet",
                                               "client_secret_path": str(secret), **settings}}))
        control = Control(self.network.hosts["server"], directory, "10.99.0.1", port=port, relay=False,
                          extra=["--config", config]).start()
        self.controls.append(control)
        return control

    def control_log(self, name):
        return (self.directory / name / "martlet-control.log").read_text()

    def asks(self, control, name, host="a", tags=()):
        """A stock client that asks to be let in, and the address that it was told."""
        client = Stock(self.network.hosts[host], self.directory / control.directory.name, name, control, None,
                       "nobody", port=9080 + len(self.clients)).start()
        self.clients.append(client)
        login = eventually(f"{name} asks", lambda: next(
            (login for login in control.json("auth", "list") if login["hostname"] == name), None))
        return f"{control.url}/register/{login['id']}"

    def browser(self, url, user, fault="", host="b"):
        done = self.network.hosts[host].run(sys.executable, HARNESS / "browser.py", url, user, *([fault] if fault else []))
        return json.loads(done.stdout)

    def explain(self):
        for control in self.controls:
            print(f"--- {control.directory}\n{control.daemon.tail(30)}", flush=True)
        for client in self.clients:
            print(f"--- {client.name}\n{client.tail()}", flush=True)
        print((self.directory / "provider.log").read_text()[-3000:], flush=True)


@contextlib.contextmanager
def world():
    require_programs("martlet-control")
    require_root()
    require_tool("ip", "curl")
    caddy()
    installed(PROVIDER)
    with scratch("martlet-oidc-") as directory:
        made = World(directory)
        made.network.up()
        try:
            made.start_provider()
            yield made
        finally:
            made.network.down()


@contextlib.contextmanager
def serving(world, name, **settings):
    control = world.control(name, **settings)
    try:
        yield control
    finally:
        for client in world.clients:
            client.stop()
        world.clients.clear()
        control.daemon.stop()


@test("two people let their stock clients in by their own login, and their groups say who reaches whom")
def login(world):
    with serving(world, "login") as control:
        policy = world.directory / "policy.hujson"
        first, second = world.asks(control, "one"), world.asks(control, "two", host="b")
        seen = world.browser(first, "alice", "no word")
        assert seen["status"] == 200 and "one" in seen["text"] and "alice@lab.example" in seen["text"], seen
        assert "form-action 'self'" in seen["policy"] and "default-src 'none'" in seen["policy"], seen
        assert not control.nodes(), "who only follows a link lets nothing in"
        done = world.browser(first, "alice")
        assert done["status"] == 200 and "joined" in done["text"], done
        for cookie in done["cookies"]:
            assert "HttpOnly" in cookie and ("SameSite=Lax" in cookie or "SameSite=Strict" in cookie), cookie
        assert world.browser(second, "bob")["status"] == 200
        users = {user["name"]: user for user in control.json("users", "list")}
        # Both would like to be called alice; who comes second is not taken for the first.
        assert users["alice"]["email"] == "alice@lab.example" and users["alice"]["groups"] == ["all", "eng"], users
        assert users["alice-2"]["email"] == "bob@lab.example" and users["alice-2"]["groups"] == ["ops"], users
        assert users["alice"]["provider_id"] == f"{ISSUER}/alice" and users["alice"]["provider"] == "oidc", users
        one = eventually("both are online", lambda: len([n for n in control.nodes() if n["online"]]) == 2 and next(
            node for node in control.nodes() if node["given_name"] == "one"))
        assert one["user"]["name"] == "alice" and one["register_method"] == "REGISTER_METHOD_OIDC", one
        policy.write_text(POLICY)
        control.call("policy", "set", policy)
        evaluated = eventually("the groups are in force", lambda: "group:eng" in control.call("policy", "get").stdout)
        assert evaluated
        acts = [entry["action"] for entry in control.json("audit")]
        assert acts.count("node.login") == 2 and acts.count("user.create") == 2, acts
        text = control.daemon.tail(1000)
        assert SECRET not in text and "id_token" not in text, "no secret stands in the log"


@test("a state that is forged, replayed or another browser's is refused, and so is a form; nothing is let in")
def states(world):
    with serving(world, "states") as control:
        url = world.asks(control, "one")
        for fault in ("forged state", "replayed state", "other browser", "forged form", "form elsewhere", "foreign page"):
            done = world.browser(url, "alice", fault)
            assert done["status"] == 403, (fault, done)
            assert not control.nodes(), fault
        done = world.browser(url, "alice", "replayed form")
        assert done["status"] == 403 and len(control.nodes()) == 1, done
        used = world.browser(url, "alice")
        assert used["status"] == 200 and "joined" in used["text"] and "form" not in used["text"], used
        assert world.browser(f"{control.url}/register/{'0' * 32}", "alice")["status"] in (404, 410)


@test("a token with a wrong signature, algorithm, issuer, audience, nonce or end proves nothing")
def tokens(world):
    with serving(world, "tokens") as control:
        url = world.asks(control, "one")
        for fault in ("signature", "none", "issuer", "audience", "nonce", "expired"):
            with world.fault(fault):
                done = world.browser(url, "alice")
            assert done["status"] == 403 and "proves nothing" in done["text"], (fault, done)
        with world.fault("userinfo"):
            # What is said of somebody else is not taken for this person's.
            assert world.browser(url, "alice", "no word")["status"] == 200
        assert not control.nodes() and not control.json("users", "list")
        log = control.daemon.tail(200)
        for word in ("signature is wrong", "another provider", "another client", "not the answer", "time is over"):
            assert word in log, (word, log)


@test("keys are changed while people log in, and another algorithm is spoken")
def rotation(world):
    with serving(world, "rotation") as control:
        first = world.asks(control, "one")
        assert world.browser(first, "alice", "no word")["status"] == 200
        world.curl("/rotate", "-X", "POST")
        eventually("the new key is taken", lambda: world.browser(first, "alice", "no word")["status"] == 200, pause=2)
        world.start_provider("ES256")
        eventually("P-256 too", lambda: world.browser(first, "alice")["status"] == 200, pause=2)
        world.start_provider("RS256")


@test("lists of domains, users and groups are kept, and an address counts only when it was verified")
def lists(world):
    with serving(world, "lists", allowed_domains=["lab.example"], allowed_groups=["eng", "ops"]) as control:
        url = world.asks(control, "one")
        for user, word in (("mallory", "not verified"), ("eve", "domain"), ("zoe", "groups")):
            done = world.browser(url, user)
            assert done["status"] == 403 and word in done["text"], (user, done)
        assert not control.nodes() and not control.json("users", "list")
        assert world.browser(url, "bob")["status"] == 200
        # A user of an administrator's with alice's address is not alice.
        control.call("users", "create", "carol", "--email", "alice@lab.example")
        second = world.asks(control, "two")
        assert world.browser(second, "alice")["status"] == 200
        owner = next(node["user"] for node in control.nodes() if node["given_name"] == "two")
        assert owner["provider_id"] == f"{ISSUER}/alice" and owner["name"] != "carol", owner
    with serving(world, "users", allowed_users=["Alice@lab.example"], use_expiry_from_token=True) as control:
        url = world.asks(control, "one")
        assert world.browser(url, "bob")["status"] == 403
        assert world.browser(url, "alice")["status"] == 200
        assert control.nodes()[0]["expiry"], "the key ends with the token"


@test("where the provider does not answer, the server says so, or does not start")
def absent(world):
    world.provider.kill()
    world.provider.wait()
    try:
        with contextlib.suppress(RuntimeError, AssertionError):
            world.control("absent")
            raise SystemError("it started")
        assert "identity provider" in world.control_log("absent")
        with serving(world, "later", only_start_if_oidc_is_available=False) as control:
            url = world.asks(control, "one")
            assert world.browser(url, "alice")["status"] == 503
            world.start_provider()
            eventually("it answers now", lambda: world.browser(url, "alice")["status"] == 200)
    finally:
        world.start_provider()


if __name__ == "__main__":
    main(world)
