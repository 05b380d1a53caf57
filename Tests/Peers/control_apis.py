#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's APIs, asked by other people's client libraries, and by strangers.

The server stands in a network namespace of its own, which leads nowhere.
"""
import base64, contextlib, hashlib, hmac, json, os, pathlib, re, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Control, Host, Skip, eventually, main, require_programs, require_root, run, scratch, test
from packages import installed

HSAPI = "hsapi-client==0.9.9"
TAILSCALE = "tailscale==1.0.0"
SCHEMATHESIS = "schemathesis==4.32.5"
NAMESPACE = "mtapis"
URL = "http://127.0.0.1:8080"


class World:
    def __init__(self, host, control, directory):
        self.host, self.control, self.directory = host, control, directory

    def curl(self, method, path, *more, secret=None, body=None):
        """Status and body of a request."""
        options = ["-H", f"Authorization: Bearer {secret}"] if secret else []
        if body is not None:
            options += ["-H", "Content-Type: application/json", "-d", body if isinstance(body, str) else json.dumps(body)]
        told = self.host.run("curl", "-s", "-g", "-X", method, "-w", "\n%{http_code}", *options, *more, URL + path).stdout
        text, _, status = told.rpartition("\n")
        return int(status), text

    def many(self, requests):
        """Statuses and bodies of many requests (method, path, secret), asked by one program."""
        script = (
            "import http.client,json,sys\n"
            "told=[]\n"
            "for method,path,secret in json.load(sys.stdin):\n"
            "  c=http.client.HTTPConnection('127.0.0.1',8080)\n"
            "  h={'Content-Type':'application/json'}\n"
            "  if secret is not None: h['Authorization']='Bearer '+secret\n"
            "  c.request(method,path,body=None if method=='GET' else '{}',headers=h)\n"
            "  r=c.getresponse(); told.append([r.status,r.read().decode()]); c.close()\n"
            "json.dump(told,sys.stdout)\n")
        told = self.host.run(sys.executable, "-c", script, input=json.dumps(requests), stdin=None).stdout
        return json.loads(told)

    def ask(self, method, path, secret, body=None):
        status, text = self.curl(method, path, secret=secret, body=body)
        assert status == 200, f"{method} {path}: {status} {text}"
        return json.loads(text)

    def api_key(self, *options):
        return self.control.call("apikeys", "create", *options).stdout.strip()

    def audit(self):
        return self.control.json("audit", "--limit", "10000")

    def python(self, package, script, **environment):
        """Runs a script with a package from PyPI, in the server's namespace."""
        interpreter = installed(package) / "bin/python"
        path = self.directory / "script.py"
        path.write_text(script)
        return self.host.run(interpreter, path, env={**os.environ, **environment}, timeout=300).stdout


@contextlib.contextmanager
def world():
    require_root()
    require_programs("martlet-control")
    run("ip", "netns", "delete", NAMESPACE, check=False)
    run("ip", "netns", "add", NAMESPACE)
    host = Host(NAMESPACE)
    try:
        host.run("ip", "link", "set", "lo", "up")
        with scratch("mt-apis-") as directory:
            control = Control(host, directory / "control", "127.0.0.1", relay=False).start()
            control.user("alice")
            yield World(host, control, directory)
            control.daemon.stop()
    finally:
        host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


def routes(world):
    """Every route of the server's own description: method, path, what it needs, an example path."""
    status, text = world.curl("GET", "/openapi.json")
    assert status == 200
    for path, methods in json.loads(text)["paths"].items():
        for method, operation in methods.items():
            filled = path
            for parameter in operation.get("parameters", []):
                filled = filled.replace("{%s}" % parameter["name"], "-" if parameter["name"] == "tailnet" else "1")
            yield method.upper(), path, operation, filled


@test("The committed description of the API is the one that is served")
def description(world):
    _, text = world.curl("GET", "/openapi.json")
    committed = pathlib.Path(__file__).resolve().parents[2] / "Documentation/openapi.json"
    assert json.loads(text) == json.loads(committed.read_text()), "run `martlet-control openapi >Documentation/openapi.json`"


@test("Every route refuses no, altered, foreign, expired and too narrow credentials, and writes it down")
def refusals(world):
    key = world.api_key()
    last = key[-1]
    altered = key[:-1] + ("0" if last != "0" else "1")
    expired = world.api_key()
    world.control.call("apikeys", "expire", expired.split("-")[2])
    deleted = world.api_key()
    world.control.call("apikeys", "delete", deleted.split("-")[2])
    joining = world.control.key()
    wrong = {"none": None, "altered": altered, "expired": expired, "deleted": deleted, "an auth key": joining,
             "unsigned": base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + ".e30.", "empty": " "}
    narrow = {"webhooks": world.api_key("--scopes", "users:read"), "users": world.api_key("--scopes", "webhooks:read")}
    requests, expected = [], []
    for method, path, operation, filled in routes(world):
        if operation.get("security") == []:
            continue
        for what, secret in wrong.items():
            requests.append((method, filled, secret))
            expected.append((401, f"{method} {path} with {what}"))
        area = operation["x-scope"].partition(":")[0]
        requests.append((method, filled, narrow["webhooks" if area != "users" else "users"]))
        expected.append((403, f"{method} {path} with too narrow a scope"))
        if not operation["x-scope"].endswith(":read"):
            scope = operation["x-scope"] + ":read"
            if scope not in narrow:
                narrow[scope] = world.api_key("--scopes", scope)
            requests.append((method, filled, narrow[scope]))
            expected.append((403, f"{method} {path} with {scope}"))
    for (status, what), told in zip(expected, world.many(requests)):
        assert told[0] == status, f"{what}: {told}"
        assert set(json.loads(told[1])) <= {"title", "status", "detail", "message"}, f"{what} was told data: {told}"
    asked = len(requests)
    rows = [row for row in world.audit() if row["action"] == "api.refuse"]
    assert len(rows) >= asked, f"{asked} refusals, {len(rows)} rows"
    users = world.control.json("users", "list")
    assert [user["name"] for user in users] == ["alice"], users


@test("A key that acts for a person does what the person's role lets do, as it is at that moment")
def roles(world):
    for name in ("ann", "bob"):
        world.control.user(name)
    world.control.call("users", "role", "ann", "auditor")
    keys = {name: world.api_key("--user", name) for name in ("ann", "bob")}
    requests, expected = [], []
    for method, path, operation, filled in routes(world):
        if operation.get("security") == []:
            continue
        requests.append((method, filled, keys["bob"]))
        expected.append((403, f"{method} {path} by a member"))
        if not operation["x-scope"].endswith(":read"):
            requests.append((method, filled, keys["ann"]))
            expected.append((403, f"{method} {path} by an auditor"))
    for (status, what), told in zip(expected, world.many(requests)):
        assert told[0] == status, f"{what}: {told}"
    world.ask("GET", "/api/v1/user", keys["ann"])
    world.control.call("users", "role", "bob", "it-admin")
    world.ask("GET", "/api/v2/tailnet/-/devices", keys["bob"])
    users = world.ask("GET", "/api/v2/tailnet/-/users", keys["bob"])["users"]
    bob = next(user["id"] for user in users if user["loginName"] == "bob")
    raised = world.curl("POST", f"/api/v2/users/{bob}/role", secret=keys["bob"], body={"role": "admin"})
    assert raised[0] == 403, f"an IT administrator gave itself a role: {raised}"
    policy = world.curl("PUT", "/api/v1/policy", secret=keys["bob"], body={"policy": "{}"})
    assert policy[0] == 403, f"an IT administrator changed the policy: {policy}"
    assert world.curl("POST", "/api/v1/apikey", secret=keys["bob"], body={})[0] == 403
    world.control.call("users", "role", "bob", "admin")
    made = world.ask("POST", "/api/v1/apikey", keys["bob"], {})["apiKey"]
    world.ask("GET", "/api/v1/apikey", made)
    world.control.call("users", "role", "bob", "member")
    assert world.curl("GET", "/api/v1/apikey", secret=made)[0] == 403, "a key outlived the role of its person"
    world.control.call("users", "delete", "bob")
    world.control.call("users", "delete", "ann")
    assert world.curl("GET", "/api/v1/apikey", secret=made)[0] == 401, "a key outlived its person"


@test("The credentials stand in no file, no log and no list")
def secrets(world):
    key = world.api_key()
    _, client = json_client(world, "--scopes", "users:read")
    world.ask("GET", "/api/v1/user", key)
    world.curl("GET", "/api/v1/user", secret=client)
    shown = world.control.call("apikeys", "list").stdout + world.control.call("oauth-clients", "list").stdout
    files = b"".join(path.read_bytes() for path in world.control.directory.rglob("*") if path.is_file())
    for secret in (key, client):
        tail = secret.rsplit("-", 1)[1]
        assert tail not in shown and tail.encode() not in files and tail not in json.dumps(world.audit())


def plain(world, name):
    """Adds a node of alice's that is not there."""
    world.control.call("nodes", "add-wireguard", "--user", "alice", "--name", name, "--public-key",
                       base64.b64encode(os.urandom(32)).decode(), "--endpoint", "192.0.2.1:51820")


@test("hsapi-client, a client of headscale's API, does all it can with users, nodes, keys, routes and the policy")
def headscale_client(world):
    # It is written for Python 3.12, where a value in a text may go over lines; older ones take it on one.
    for path in installed(HSAPI).glob("lib/python3*/site-packages/hsapi_client/model.py"):
        path.write_text(re.sub(r"\{\n\s+", "{", path.read_text()))
    plain(world, "hsplain")
    told = world.python(HSAPI, HEADSCALE_SCRIPT, HSAPI_SERVER=URL, HSAPI_API_TOKEN=world.api_key())
    assert told.strip().endswith("done"), told


HEADSCALE_SCRIPT = r'''
import hsapi_client as hs
from hsapi_client.users import v1CreateUserRequest
from hsapi_client.preauthkeys import v1CreatePreAuthKeyRequest, v1ListPreAuthKeyRequest
from hsapi_client.apikeys import v1CreateApiKeyRequest, v1ExpireApiKeyRequest
from hsapi_client.nodes import v1MoveNodeRequest, v1SetTagsNodeRequest
users, nodes, keys, routes, policy, api = hs.User(), hs.Node(), hs.PreAuthKey(), hs.Route(), hs.Policy(), hs.APIKey()
assert users.create(v1CreateUserRequest(name="hsuser")).user.name == "hsuser"
assert users.get("hsuser").user.name == "hsuser"
assert users.rename("hsuser", "hsother").user.name == "hsother"
assert "hsother" in [user.name for user in users.list().users]
made = keys.create(v1CreatePreAuthKeyRequest(user="hsother", reusable=True, ephemeral=False,
                   expiration="2038-01-01T00:00:00Z", aclTags=["hs"])).preAuthKey
assert made.key.startswith("martlet-auth-") and made.aclTags == ["tag:hs"] and not made.expired
assert [key.id for key in keys.list(v1ListPreAuthKeyRequest(user="hsother")).preAuthKeys] == [made.id]
assert nodes.list().nodes is not None and routes.list().routes is not None
for node in nodes.list().nodes:
    assert nodes._get(node.id).id == node.id
    nodes.rename(node.id, "hsnode")
    assert nodes.move(node.id, v1MoveNodeRequest(user="hsother")).node.user.name == "hsother"
    nodes.setTags(node.id, v1SetTagsNodeRequest(tags=["hs"]))
    nodes.routes(node.id)
    nodes.expire(node.id)
    assert nodes._get(node.id).expired and nodes._get(node.id).givenName == "hsnode"
    nodes.delete(node.id)
assert nodes.list().nodes == [] and nodes.backfillips().changes == []
assert policy.put('{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}').policy["acls"]
assert policy.get().policy["acls"][0]["action"] == "accept"
secret = api.create(v1CreateApiKeyRequest(expiration="2038-01-01T00:00:00Z")).apiKey
prefix = secret.split("-")[2]
assert prefix in [key.prefix for key in api.list().apiKeys]
api.expire(v1ExpireApiKeyRequest(prefix=prefix))
api.delete(prefix)
assert prefix not in [key.prefix for key in api.list().apiKeys]
users.delete("hsother")
print("done")
'''


@test("The Python client of the hosted service's API manages devices, keys, the policy, users and webhooks")
def hosted_client(world):
    plain(world, "plain")
    told = world.python(TAILSCALE, HOSTED_SCRIPT, API_KEY=world.api_key(), API_URL=URL)
    assert told.strip().endswith("done"), told
    world.control.daemon.kill()
    world.control.start()
    assert list(world.control.json("dns", "show")["split"]) == ["b.example", "c.example"], "names did not outlive kill -9"
    world.control.call("dns", "set", "--nameservers", "192.0.2.9", "--split", "")
    assert world.control.json("dns", "show")["nameservers"] == ["192.0.2.9"]
    assert world.control.json("dns", "reset")["search_domains"] == []
    assert world.control.json("dns", "show")["nameservers"] == []


def json_client(world, *options):
    made = world.control.json("oauth-clients", "create", *options)
    return made["id"], made["key"]


@test("A client with a secret gets tokens that do what they may, for as long as the client is there")
def oauth(world):
    number, secret = json_client(world, "--scopes", "devices:core,auth_keys", "--tags", "tag:ci")
    told = world.python(TAILSCALE, OAUTH_SCRIPT, CLIENT_ID=number, CLIENT_SECRET=secret, API_URL=URL)
    assert "done" in told, told
    token = told.strip().splitlines()[-1]
    assert world.curl("GET", "/api/v2/tailnet/-/devices", secret=token)[0] == 200
    assert world.curl("GET", "/api/v2/tailnet/-/users", secret=token)[0] == 403
    status, text = world.curl("POST", "/api/v2/tailnet/-/keys", secret=token, body={
        "capabilities": {"devices": {"create": {"tags": ["tag:other"]}}}})
    assert status == 403, f"a key with a foreign tag: {status} {text}"
    status, text = world.curl("POST", "/api/v2/oauth/token", "-d", f"client_secret={secret[:-1]}x")
    assert status == 401 and "invalid_client" in text
    row = world.audit()[0]
    assert row["action"] == "api.refuse" and "/oauth/token" in row["subject"], row
    status, text = world.curl("POST", "/api/v2/oauth/token", "-d", f"client_secret={secret}&scope=all")
    assert status == 400 and "invalid_scope" in text
    status, text = world.curl("GET", "/api/v2/tailnet/-/devices", secret=secret)
    assert status == 401, "a client's secret is no token"
    world.control.call("oauth-clients", "delete", number)
    assert world.curl("GET", "/api/v2/tailnet/-/devices", secret=token)[0] == 401


#: The library knows one address only; every request is turned to ours before it is sent.
TURNED = r'''
import asyncio, os
from aiohttp import ClientSession
from yarl import URL
from tailscale import Tailscale

class Turned(ClientSession):
    async def _request(self, method, url, **options):
        own = URL(os.environ["API_URL"])
        url = URL(str(url), encoded=True).with_scheme("http").with_host(own.host).with_port(own.port)
        return await super()._request(method, url, **options)
'''

OAUTH_SCRIPT = TURNED + r'''
async def main():
    async with Turned() as session:
        client = Tailscale(oauth_client_id=os.environ["CLIENT_ID"], oauth_client_secret=os.environ["CLIENT_SECRET"],
                           session=session)
        assert isinstance(await client.devices(), dict)
        key = await client.create_key(key_type="auth", tags=["tag:ci"], expiry_seconds=600)
        assert key.key.startswith("martlet-auth-") and key.capabilities.devices.create.tags == ["tag:ci"]
        print("done")
        print(client.api_key)
asyncio.run(main())
'''

HOSTED_SCRIPT = TURNED + r'''
from datetime import datetime, timedelta, UTC
from tailscale import TailscaleError

async def main():
    async with Turned() as session:
        client = Tailscale(api_key=os.environ["API_KEY"], session=session)
        devices = await client.devices()
        number, device = next((n, d) for n, d in devices.items() if d.hostname == "" or d.name.startswith("plain"))
        assert device.addresses and device.authorized and device.user
        await client.rename_device(number, name="renamed")
        await client.set_device_tags(number, tags=["tag:web"])
        again = await client.device(device.node_id)
        assert again.name.startswith("renamed.") and again.tags == ["tag:web"], again
        routes = await client.set_device_routes(number, routes=["10.1.0.0/16", "0.0.0.0/0"])
        assert set(routes.enabled_routes) == {"10.1.0.0/16", "0.0.0.0/0", "::/0"}
        assert (await client.device_routes(number)).enabled_routes == routes.enabled_routes
        await client.authorize_device(number, authorized=False)
        assert not (await client.device(number)).authorized
        await client.authorize_device(number, authorized=True)
        await client.set_device_posture_attribute(number, "custom:tier", value="prod")
        assert (await client.device_posture_attributes(number)).attributes["custom:tier"] == "prod"
        await client.delete_device_posture_attribute(number, "custom:tier")
        await client.expire_device_key(number)
        await client.set_device_key_expiry(number, key_expiry_disabled=True)
        assert (await client.device(number)).key_expiry_disabled
        await client.delete_device(number)
        try:
            await client.device(number)
            raise SystemExit("a deleted device is there")
        except TailscaleError:
            pass
        first = await client.policy_file()
        text = '// mine\n{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]}]}'
        set_ = await client.set_policy_file(text, etag=first.etag)
        assert set_.policy == text and (await client.policy_file()).etag == set_.etag
        try:
            await client.set_policy_file(text, etag=first.etag)
            raise SystemExit("an old ETag was taken")
        except TailscaleError:
            pass
        assert not (await client.validate_policy_file(text)).message
        assert (await client.validate_policy_file('{"acls": 5}')).message
        key = await client.create_key(key_type="auth", tags=["tag:web"], reusable=True, expiry_seconds=600)
        assert key.key.startswith("martlet-auth-") and key.key_id in [k.key_id for k in await client.keys()]
        assert (await client.key(key.key_id)).capabilities.devices.create.reusable
        await client.delete_key(key.key_id)
        owner = next(user for user in await client.users() if user.login_name == "alice")
        assert owner.role == "owner" and (await client.user(owner.user_id)).login_name == "alice"
        hook = await client.create_webhook(endpoint_url="http://127.0.0.1:9/hook", subscriptions=["nodeCreated"])
        assert hook.secret and hook.endpoint_id in [h.endpoint_id for h in await client.webhooks()]
        changed = await client.update_webhook(hook.endpoint_id, subscriptions=["policyUpdate"])
        assert changed.subscriptions == ["policyUpdate"] and not changed.secret
        assert (await client.rotate_webhook_secret(hook.endpoint_id)).secret != hook.secret
        await client.delete_webhook(hook.endpoint_id)
        assert (await client.tailnet_settings()).devices_approval_on is False
        assert (await client.dns_nameservers()).dns == [] and (await client.dns_preferences()).magic_dns
        assert (await client.set_dns_nameservers(dns=["192.0.2.53", "2001:db8::53"])).dns == ["192.0.2.53", "2001:db8::53"]
        assert (await client.set_dns_search_paths(search_paths=["Corp.example."])).search_paths == ["corp.example"]
        assert await client.set_split_dns(split_dns={"a.example": ["10.0.0.1"], "b.example": ["10.0.0.2"]}) \
            == {"a.example": ["10.0.0.1"], "b.example": ["10.0.0.2"]}
        assert await client.update_split_dns(split_dns={"a.example": None, "c.example": ["10.0.0.3"]}) == await client.split_dns()
        assert list(await client.split_dns()) == ["b.example", "c.example"]
        assert not (await client.set_dns_preferences(magic_dns=False)).magic_dns
        whole = await client.dns_configuration()
        assert [r.address for r in whole.nameservers] == ["192.0.2.53", "2001:db8::53"] and not whole.preferences.magic_dns
        whole.preferences.magic_dns, whole.preferences.override_local_dns, whole.nameservers = True, False, []
        again = await client.set_dns_configuration(whole)
        assert again.nameservers == [] and again.preferences.override_local_dns is False and list(again.split_dns) == list(whole.split_dns)
        for wrong in (client.set_dns_nameservers(dns=["x"]), client.set_dns_search_paths(search_paths=["a b"]),
                      client.set_split_dns(split_dns={"..": ["10.0.0.1"]})):
            try:
                await wrong
                raise SystemExit("a wrong setting of names was taken")
            except TailscaleError:
                pass
        assert (await client.dns_configuration()) == again
        now = datetime.now(UTC)
        logs = await client.configuration_audit_logs(start=now - timedelta(hours=1), end=now + timedelta(hours=1))
        assert "policy.set" in [log.action for log in logs]
        print("done")
asyncio.run(main())
'''


@test("A receiver of webhooks is told with a signature that it can check")
def webhooks(world):
    script = (
        "import http.server,sys,json\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "  def do_POST(self):\n"
        "    body=self.rfile.read(int(self.headers['Content-Length']))\n"
        "    print(json.dumps([self.headers['Tailscale-Webhook-Signature'],body.decode()]),flush=True)\n"
        "    self.send_response(200); self.end_headers()\n"
        "  def log_message(self,*a): pass\n"
        "http.server.HTTPServer(('127.0.0.1',9099),H).serve_forever()\n")
    log = world.directory / "hooks.log"
    with open(log, "wb") as output:
        world.host.spawn(sys.executable, "-c", script, stdout=output)
    eventually("the receiver listens", lambda: ":9099 " in world.host.run("ss", "-ltn").stdout)
    hook = world.control.json("webhooks", "create", "--url", "http://127.0.0.1:9099/x", "--events", "userCreated")
    world.control.user("bob")
    lines = eventually("the receiver is told", lambda: log.read_text().splitlines())
    signature, body = json.loads(lines[0])
    time_, _, code = signature.partition(",v1=")
    expected = hmac.new(hook["secret"].encode(), f"{time_.removeprefix('t=')}.{body}".encode(), hashlib.sha256)
    assert hmac.compare_digest(expected.hexdigest(), code)
    told = json.loads(body)
    assert [event["type"] for event in told] == ["userCreated"] and "bob" in told[0]["message"], told
    world.control.call("webhooks", "delete", hook["endpoint_id"])


@test("schemathesis finds no answer that the description does not allow")
def schemathesis(world):
    program = installed(SCHEMATHESIS) / "bin/schemathesis"
    done = world.host.run(
        program, "run", f"{URL}/openapi.json", "--header", f"Authorization: Bearer {world.api_key()}", "--phases",
        "coverage,fuzzing", "--max-examples", "8", "--seed", "7", "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method",
        "--exclude-path", "/api/v2/oauth/token", "--no-color", cwd=world.directory, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-6000:]


if __name__ == "__main__":
    main(world)
