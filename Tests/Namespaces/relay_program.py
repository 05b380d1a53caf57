#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program martlet-derp: its life, its state, and what it says when it cannot start."""
import contextlib, json, os, pathlib, re, shutil, signal, socket, stat, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, Daemon, Host, eventually, main, require_programs, require_root, require_tool, run, scratch, test
from packages import installed

NOBODY = 65534
NAMESPACE = "mtp-derp"
SUCCESS, USAGE, CONFIGURATION, PERMISSION, ALREADY_RUNNING = 0, 2, 3, 4, 5


class World:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")
        self.daemon = None

    def program(self, *arguments, **options):
        """Runs the relay where it is expected to end by itself."""
        return self.host.run(BINARIES / "martlet-derp", *arguments, check=False, timeout=30, **options)

    def refused(self, code, *words, arguments, **options):
        """Runs the relay, which must refuse with this exit code and words that say why and what to do."""
        done = self.program(*arguments, **options)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        for word in words:
            assert word in done.stderr, (word, done.stderr)
        assert "Fatal" not in done.stderr and len(done.stderr.splitlines()) < 8, done.stderr

    @contextlib.contextmanager
    def relay(self, name, *arguments, environment=None):
        self.daemon = Daemon(self.host, self.directory / name, "martlet-derp", *arguments, environment=environment)
        self.start()
        try:
            yield self.daemon
        finally:
            if self.daemon.is_running():
                self.daemon.stop()

    def start(self):
        before = self.daemon.tail(1000).count("serving")
        self.daemon.start()

        def served():
            if not self.daemon.is_running():
                raise RuntimeError(f"martlet-derp ended: {self.daemon.tail()}")
            return self.daemon.tail(1000).count("serving") > before

        eventually("the relay serves", served)

    def fact(self, name):
        """What the relay said last of itself: `key`, `certName`."""
        return re.findall(rf"\b{name}=(\S+)", self.daemon.tail(1000))[-1]

    def get(self, path, port=443, scheme="https"):
        return self.host.run("curl", "-sk", "--fail", "--max-time", "5", f"{scheme}://127.0.0.1:{port}{path}").stdout

    def metrics(self, port=3340, scheme="http"):
        """What the relay measures, by name and labels."""
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics", port, scheme).splitlines() if line[:1] != "#"]
        return {name: float(value) for name, value in lines}

    def explain(self):
        if self.daemon:
            print(f"--- martlet-derp\n{self.daemon.tail()}", flush=True)

    def close(self):
        self.host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


@contextlib.contextmanager
def world():
    require_programs("martlet-derp")
    require_root()
    require_tool("ip", "curl")
    with scratch("martlet-derp-") as directory:
        os.chmod(directory, 0o755)
        made = World(directory)
        try:
            yield made
        finally:
            made.close()


def own(state, *more):
    return ["--self-signed", "--hostname", "127.0.0.1", "--listen", "127.0.0.1:443", "--state", state, *more]


@test("--help and --version answer, and say no more than works")
def facts(world):
    version = world.program("--version")
    assert version.returncode == SUCCESS and re.match(r"^\d+\.\d+", version.stdout), version.stdout
    page = world.program("--help")
    assert page.returncode == SUCCESS, page.stderr
    for word in ("--listen", "--self-signed", "--cert", "--state", "--stun-port", "Exit codes"):
        assert word in page.stdout, word
    for word in ("bootstrap",):
        assert word not in page.stdout.lower(), word


@test("what it does not understand is refused with exit code 2")
def usage(world):
    world.refused(USAGE, "--bogus", "--help", arguments=["--bogus"])
    world.refused(USAGE, arguments=["nonsense"])
    world.refused(USAGE, "--stun-port", arguments=["--stun-port", "many"])


@test("a configuration that cannot work is refused with exit code 3, and says what would")
def configuration(world):
    world.refused(CONFIGURATION, "no certificate", "--self-signed", "--cert", "--plain", arguments=[])
    world.refused(CONFIGURATION, "exclude each other", arguments=["--self-signed", "--plain", "--hostname", "r"])
    world.refused(CONFIGURATION, "--hostname", arguments=["--self-signed"])
    world.refused(CONFIGURATION, "both", arguments=["--cert", "/some.pem"])
    world.refused(CONFIGURATION, "--listen", "bogus", arguments=["--plain", "--listen", "bogus"])
    missing = world.directory / "missing.pem"
    state = world.directory / "configuration"
    world.refused(CONFIGURATION, str(missing), arguments=["--cert", missing, "--key", missing, "--state", state])


@test("a port or state directory that is taken is named with exit code 5")
def port_in_use(world):
    with world.relay("first", *own(world.directory / "first-state")):
        world.refused(ALREADY_RUNNING, "127.0.0.1:443", "Another process", arguments=own(world.directory / "second"))
        plain = ["--plain", "--listen", "127.0.0.1:8443", "--state", world.directory / "third"]
        world.refused(ALREADY_RUNNING, "127.0.0.1:3478", arguments=plain)
        second = own(world.directory / "first-state")
        second[second.index("127.0.0.1:443")] = "127.0.0.1:8443"
        world.refused(ALREADY_RUNNING, "first-state", "process", "--state", arguments=second)
        assert world.get("/") == "This is a Martlet relay.\n"


@test("without the right to a port or a directory it ends with exit code 4")
def permission(world):
    require_tool("setpriv")
    # The build tree may be closed to others.
    program = world.directory / "martlet-derp"
    shutil.copy(BINARIES / "martlet-derp", program)
    ours = world.directory / "open"
    ours.mkdir()
    os.chown(ours, NOBODY, NOBODY)
    closed = world.directory / "closed"
    closed.mkdir(mode=0o700)
    world.host.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=1024")
    demoted = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", program, "--plain"]
    for word, arguments in ((str(closed), ["--listen", "127.0.0.1:8443", "--state", closed / "state"]),
                            ("127.0.0.1:443", ["--listen", "127.0.0.1:443", "--state", ours / "state"])):
        done = world.host.run(*demoted, *arguments, check=False, timeout=30)
        assert done.returncode == PERMISSION and word in done.stderr, (done.returncode, done.stderr)


@test("key and certificate are private, and outlive a stop and a kill")
def state(world):
    directory = world.directory / "kept"
    with world.relay("state", *own(directory)) as daemon:
        key, certificate = world.fact("key"), world.fact("certName")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for file in directory.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        secret = (directory / "relay.key").read_text().strip()
        assert secret not in daemon.log.read_text()
        daemon.stop()
        assert daemon.child.returncode == SUCCESS
        world.start()
        assert (key, certificate) == (world.fact("key"), world.fact("certName"))
        daemon.kill()
        world.start()
        assert (key, certificate) == (world.fact("key"), world.fact("certName"))


@test("damaged state is set aside with its contents and said so; the relay serves on with new state")
def damaged(world):
    directory = world.directory / "damaged"
    with world.relay("damage", *own(directory)) as daemon:
        key, certificate = world.fact("key"), world.fact("certName")
        for name, fact, before in (("relay.key", "key", key), ("relay.pem", "certName", certificate)):
            daemon.stop()
            (directory / name).write_bytes(b"\x00damaged\xff")
            world.start()
            assert world.fact(fact) != before
            aside = next(directory.glob(f"{name}.corrupt-*"))
            assert aside.read_bytes() == b"\x00damaged\xff"
            assert str(aside) in daemon.log.read_text()
            assert world.get("/derp/probe") == ""


@test("both families share the ports, and the plain port answers beside TLS")
def families(world):
    listen = "0.0.0.0:443,[::]:443"
    arguments = ["--self-signed", "--hostname", "localhost", "--listen", listen, "--http-listen", "127.0.0.1:80"]
    with world.relay("families", *arguments, "--state", world.directory / "families-state"):
        for address in ("127.0.0.1", "[::1]"):
            done = world.host.run("curl", "-sk", "--fail", f"https://{address}/derp/latency-check")
            assert done.stdout == ""
        sockets = world.host.run("ss", "-lun").stdout
        assert "0.0.0.0:3478" in sockets and "[::]:3478" in sockets, sockets
        done = world.host.run("curl", "-si", "-H", "X-Tailscale-Challenge: abc", "http://127.0.0.1/generate_204").stdout
        assert " 204 " in done and "response abc" in done, done


@test("the service manager is told when it is ready and when it stops")
def notification(world):
    path = world.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(30)
        arguments = own(world.directory / "notify-state")
        with world.relay("notified", *arguments, environment={"NOTIFY_SOCKET": str(path)}) as daemon:
            assert b"READY=1" in told.recv(4096)
            daemon.stop()
            assert b"STOPPING=1" in told.recv(4096)


@test("settings come from the environment too, and a flag wins")
def environment(world):
    settings = {
        "MARTLET_DERP_SELF_SIGNED": "true", "MARTLET_DERP_HOSTNAME": "127.0.0.1",
        "MARTLET_DERP_LISTEN": "127.0.0.1:9000", "MARTLET_DERP_STATE": str(world.directory / "environment-state")}
    with world.relay("environment", "--listen", "127.0.0.1:9001", environment=settings):
        assert world.get("/robots.txt", port=9001).startswith("User-agent")
        listening = world.host.run("ss", "-ltn").stdout
        assert ":9000 " not in listening, listening


@test("what one client may send is read again on SIGHUP; a file that makes no sense changes nothing")
def rates(world):
    file = world.directory / "rates.json"
    rate = lambda: world.metrics()["derp_rate_limit_per_client_bytes_per_second"]
    world.refused(CONFIGURATION, str(file), "not there", arguments=["--dev", "--rate-config", file])
    file.write_text('{"PerClientRateLimit": 5}')
    world.refused(CONFIGURATION, str(file), "PerClientRateLimitBytesPerSec", arguments=["--dev", "--rate-config", file])
    file.write_text('{"PerClientRateLimitBytesPerSec": 1000000, "PerClientRateBurstBytes": 200000}')
    with world.relay("rates", "--dev", "--rate-config", file) as daemon:
        assert rate() == 1_000_000
        assert world.metrics()["derp_rate_limit_per_client_burst_bytes"] == 200_000
        file.write_text('{"PerClientRateLimitBytesPerSec": 5000}')
        daemon.child.send_signal(signal.SIGHUP)
        eventually("the new limit holds", lambda: rate() == 5000)
        file.write_text("nonsense")
        daemon.child.send_signal(signal.SIGHUP)
        eventually("the error is told", lambda: "keeps the old limits" in daemon.log.read_text())
        assert rate() == 5000
        file.write_text("{}")
        daemon.child.send_signal(signal.SIGHUP)
        eventually("there is no limit", lambda: rate() == 0)


@test("connections that come faster than they may are closed at once, and counted")
def accepts(world):
    with world.relay("accepts", "--dev", "--accept-connection-limit", "1", "--accept-connection-burst", "3"):
        tried = world.host.run(
            "sh", "-c", "for n in 1 2 3 4 5 6 7 8 9 10; do curl -s --max-time 5 -o /dev/null -w '%{http_code} ' "
            "http://127.0.0.1:3340/robots.txt; done; true").stdout.split()
        assert tried.count("200") >= 3 and "000" in tried, tried
        eventually("one more may come", lambda: world.metrics()["tls_listener_rejected_connections"] >= 1, pause=1.1)


@test("the roles, the home page and the plain port are as chosen")
def roles(world):
    ports = lambda kind: world.host.run("ss", f"-ln{kind}").stdout
    with world.relay("no-stun", "--dev", "--stun=false", "--home", "blank"):
        assert ":3478" not in ports("u")
        assert world.get("/", 3340, "http") == ""
    with world.relay("no-derp", "--dev", "--derp=false"):
        asked = world.host.run("curl", "-s", "-H", "Upgrade: DERP", "-H", "Connection: Upgrade", "-w", "%{http_code}",
                               "http://127.0.0.1:3340/derp").stdout
        assert asked.endswith("404"), asked
        assert ":3478" in ports("u")
    world.refused(CONFIGURATION, "--derp=false", arguments=["--dev", "--stun=false", "--derp=false"])
    world.refused(CONFIGURATION, "--home", arguments=["--dev", "--home", "here"])
    world.refused(CONFIGURATION, "--http-port", arguments=["--dev", "--http-port", "70000"])
    arguments = own(world.directory / "plain-state", "--http-port", "80", "--tcp-keepalive-time", "7m")
    arguments[arguments.index("--listen")] = "-a"
    with world.relay("plain-port", *arguments):
        head = world.host.run("curl", "-si", "http://127.0.0.1/some?where").stdout
        assert " 302 " in head and "https://127.0.0.1/some?where" in head, head
        world.host.spawn("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/443; sleep 30")
        waiting = eventually("the connection is there", lambda: re.findall(
            r":443 .*timer:\(keepalive,(\S+?),", world.host.run("ss", "-tnoH", "state", "established").stdout))
        assert waiting[0].startswith("6min") or waiting[0] == "7min", waiting


@test("who may be asked about clients is checked at the start")
def verification(world):
    world.refused(CONFIGURATION, "--verify-client-url", "http://", arguments=["--dev", "--verify-client-url", "nonsense"])
    world.refused(CONFIGURATION, "--debug-from", arguments=["--dev", "--debug-from", "here"])
    world.refused(USAGE, "--tcp-write-timeout", arguments=["--dev", "--tcp-write-timeout", "soon"])
    world.refused(CONFIGURATION, "--tcp-write-timeout", arguments=["--dev", "--tcp-write-timeout", "48h"])


@test("Prometheus can read what is measured, and the dashboard shows nothing that is not")
def metrics(world):
    python = installed("prometheus-client==0.22.1") / "bin/python"
    with world.relay("metrics", *own(world.directory / "metrics-state")):
        text = world.get("/metrics")
        assert json.loads(world.get("/debug/vars"))["derp"]["accepts"] == 0
        file = world.directory / "metrics.txt"
        file.write_text(text)
        parse = ("import sys; from prometheus_client.parser import text_fd_to_metric_families as read\n"
                 "for family in read(open(sys.argv[1])):\n"
                 "  for sample in family.samples or [family]: print(sample.name)")
        names = set(run(python, "-c", parse, file).stdout.split())
        # It calls every counter so.
        names |= {name.removesuffix("_total") for name in names}
        assert len(names) > 40 and "martlet_relay_queue_delay_seconds_bucket" in names, names
        dashboard = json.loads((ROOT / "Packaging/grafana-relay.json").read_text())
        shown = {name for panel in dashboard["panels"] for target in panel["targets"]
                 for name in re.findall(r"\b(?:derp|derper|martlet|process|stun|tls)_[a-z0-9_]+", target["expr"])}
        assert len(shown) > 15 and shown <= names, shown - names
        # Not for others, nor through a proxy, nor by a name that leads here.
        for header in ("X-Forwarded-For: 127.0.0.1", "Host: rebound.example"):
            code = world.host.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", header,
                                  "https://127.0.0.1/metrics").stdout
            assert code == "403", (header, code)


if __name__ == "__main__":
    main(world)
