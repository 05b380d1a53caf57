#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks that let nothing out but through an HTTP proxy, or that look into TLS: nodes get through, or say why not."""
import contextlib, pathlib, shutil, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Node, Skip, eventually, main, run, test
from laboratory import laboratory

PROXY = "10.99.0.1:8888"
PASSWORD = "opensesame"
# Answers TLS with a certificate of its own, as middleboxes do, and leads on to the real server.
MIDDLEBOX = """
import asyncio, ssl, sys
async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def serve(reader, writer):
    print("client", flush=True)
    inner = ssl.create_default_context()
    inner.check_hostname, inner.verify_mode = False, ssl.CERT_NONE
    onward, back = await asyncio.open_connection("10.99.0.1", 8443, ssl=inner)
    await asyncio.gather(pump(reader, back), pump(onward, writer))
async def main():
    outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    outer.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(serve, "", 9443, ssl=outer)
    print("listening", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class World:
    def __init__(self, lab):
        self.lab = lab
        self.router = lab.nats["nat1"]
        self.proxy = None
        self.count = 0

    def explain(self):
        self.lab.explain()

    def rules(self, text=None):
        """The rules of the router besides those of its NAT."""
        self.router.run("nft", "delete", "table", "ip", "more", check=False)
        if text:
            file = self.lab.directory / "rules"
            file.write_text("table ip more {\n" + text.replace("; }", "; }\n") + "}\n")
            self.router.run("nft", "-f", file)
        self.router.run("conntrack", "-D", check=False)

    def only_proxy(self):
        self.rules("chain f { type filter hook forward priority 0; "
                   "iifname lan ip daddr 10.99.0.1 tcp dport 8888 accept; iifname lan drop; }")

    def start_proxy(self, *lines):
        self.stop_proxy()
        directory = self.lab.directory / "proxy"
        directory.mkdir(exist_ok=True)
        self.log = directory / "log"
        self.log.unlink(missing_ok=True)
        self.log.touch()
        self.log.chmod(0o666)
        (directory / "conf").write_text("\n".join(
            ["Port 8888", "Listen 10.99.0.1", "Timeout 600", f'LogFile "{self.log}"', "LogLevel Connect",
             "MaxClients 50", *lines]) + "\n")
        server = self.lab.hosts["server"]
        self.proxy = server.spawn("tinyproxy", "-d", "-c", directory / "conf", stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        eventually("the proxy listens", lambda: ":8888 " in server.run("ss", "-ltn").stdout)

    def stop_proxy(self):
        if self.proxy is not None:
            self.proxy.kill()
            self.proxy.wait()
            self.proxy = None

    def node(self, environment=None, extra=()):
        """A fresh node at home, not joined yet."""
        self.end()
        self.count += 1
        node = Node(self.lab.hosts["home1"], self.lab.directory / f"guest{self.count}", extra=extra,
                    environment=environment or {}).start()
        self.lab.nodes["home1"] = node
        return node

    def end(self):
        node = self.lab.nodes.pop("home1", None)
        if node:
            node.daemon.stop()


@contextlib.contextmanager
def world():
    if not shutil.which("tinyproxy"):
        raise Skip("tinyproxy is not installed")
    with laboratory("mtpx") as lab:
        made = World(lab)
        made.other = lab.node("home2")
        try:
            yield made
        finally:
            made.stop_proxy()


def health(node):
    return " ".join(node.status().get("Health") or [])


@test("where only a proxy leads out, a node that is told by the environment joins and talks through its relay")
def environment(world):
    world.start_proxy()
    world.only_proxy()
    node = world.node({"HTTPS_PROXY": f"http://{PROXY}", "http_proxy": PROXY})
    node.up(world.lab.control)
    eventually("a ping through the relay", lambda: world.other.reaches(node))
    assert not world.other.is_direct(node)
    log = world.log.read_text()
    assert "CONNECT 10.99.0.1:8080" in log and "CONNECT 10.99.0.1:8443" in log, log
    report = node.call("netcheck").stdout
    assert "* UDP: false" in report and "Nearest DERP: " in report and "unknown" not in report, report


@test("a proxy that wants a password is named when it is not told, and the right one stands nowhere")
def password(world):
    world.start_proxy(f"BasicAuth alice {PASSWORD}")
    world.only_proxy()
    node = world.node({"MARTLET_PROXY": f"http://{PROXY}"})
    refused = node.call("up", "--login-server", world.lab.control.url, "--auth-key", world.lab.control.key(),
                        "--timeout", "3s", check=False)
    assert refused.returncode != 0
    eventually("the log names the proxy and what it wants",
               lambda: f"proxy {PROXY}" in node.daemon.log.read_text() and "407" in node.daemon.log.read_text())
    node = world.node({"MARTLET_PROXY": f"http://alice:{PASSWORD}@{PROXY}"})
    node.up(world.lab.control)
    eventually("a ping through the relay", lambda: world.other.reaches(node))
    arguments = pathlib.Path(f"/proc/{node.daemon.pid}/cmdline").read_text()
    assert PASSWORD not in node.daemon.log.read_text() + arguments + node.call("status", "--json").stdout


@test("a password on the command line is refused, and none switches proxies off")
def command_line(world):
    host = world.lab.hosts["home1"]
    refused = host.run(BINARIES / "martletd", "--proxy", f"http://a:b@{PROXY}", check=False)
    assert refused.returncode == 2 and "MARTLET_PROXY" in refused.stderr, refused
    wrong = host.run(BINARIES / "martletd", "--proxy", "socks5://x", check=False)
    assert wrong.returncode != 0 and "http://" in wrong.stderr, wrong
    world.rules()
    world.stop_proxy()
    node = world.node({"HTTPS_PROXY": f"http://{PROXY}", "HTTP_PROXY": PROXY}, extra=("--proxy", "none"))
    node.up(world.lab.control)
    eventually("a ping", lambda: world.other.reaches(node))


@test("a middlebox that looks into TLS gets nothing of a relay's traffic, and is named as what is wrong")
def middlebox(world):
    directory = world.lab.directory
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=10.99.0.1", "-addext", "subjectAltName=IP:10.99.0.1", "-keyout", directory / "box.key",
        "-out", directory / "box.pem")
    box = world.router.spawn(sys.executable, "-c", MIDDLEBOX, directory / "box.pem", directory / "box.key",
                             stdout=subprocess.PIPE, text=True)
    try:
        assert box.stdout.readline() == "listening\n"
        world.rules("chain p { type nat hook prerouting priority dstnat; "
                    "iifname lan tcp dport 8443 redirect to :9443; }")
        node = world.node()
        # The coordination server is reached over plain HTTP here, and Noise proves that it is the one. The
        # node has a network then, and no way to anybody.
        node.call("up", "--login-server", world.lab.control.url, "--auth-key", world.lab.control.key(),
                  "--timeout", "5s", check=False)
        told = eventually("the warning says why", lambda: "relay" in health(node) and health(node))
        assert "certificate" in told.lower() or "trust" in told.lower(), told
    finally:
        box.kill()
        world.rules()
    eventually("without the middlebox the relay is reached", lambda: "relay" not in health(node))
    eventually("a ping", lambda: world.other.reaches(node))


if __name__ == "__main__":
    main(world)
