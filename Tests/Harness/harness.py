# SPDX-License-Identifier: Apache-2.0
"""What the tests on a real kernel share: a list of named tests, hosts in network namespaces, and daemons on them.

Python's standard library only. Each test prints `ok`, `not ok` or `skip` with its name; the last line
counts them. A wait is for an event, with a bound that only a broken build reaches.
"""
import contextlib, json, os, pathlib, shutil, signal, subprocess, sys, tempfile, time, traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("MARTLET_BIN", ROOT / ".build-release/bin"))
PATIENCE = float(os.environ.get("MARTLET_PATIENCE", "60"))


class Skip(Exception):
    """The test cannot run here; the text says why."""


_tests = []


def test(name):
    """Registers a function as the test of a behaviour."""

    def register(function):
        _tests.append((name, function))
        return function

    return register


def main(setup=None):
    """Runs the registered tests, all or those whose names hold an argument, inside `setup()`."""
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    chosen = [(name, run) for name, run in _tests if not wanted or any(word in name for word in wanted)]
    passed = failed = skipped = 0
    with contextlib.ExitStack() as stack:
        world = None
        broken = None
        try:
            world = stack.enter_context(setup()) if setup else None
        except Skip as reason:
            broken = reason
        except Exception as error:
            traceback.print_exc()
            broken = error
        for name, run in chosen:
            started = time.monotonic()
            try:
                if broken is not None:
                    raise broken
                run(world) if setup else run()
            except Skip as reason:
                skipped += 1
                print(f"skip {name}: {reason}", flush=True)
            except Exception as error:
                failed += 1
                if error is not broken:
                    traceback.print_exc()
                print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)
                if world is not None and hasattr(world, "explain"):
                    world.explain()
            else:
                passed += 1
                print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    sys.exit(1 if failed else 0)


def require_root():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.exists("/dev/net/tun"):
        raise Skip("there is no /dev/net/tun")


def require_tool(*names):
    for name in names:
        if not shutil.which(name):
            raise Skip(f"{name} is not installed")


def require_programs(*names):
    """Fails where a program was not built."""
    for name in names:
        if not (BINARIES / name).exists():
            raise RuntimeError(f"{BINARIES / name} is missing: run Scripts/build-release")


def run(*command, check=True, timeout=120, **options):
    """Runs a command to its end; its output as text. A failure shows what it printed."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace", timeout=timeout, **options)
    if check and done.returncode != 0:
        shown = " ".join(str(part) for part in command)
        raise AssertionError(f"`{shown}` ended with {done.returncode}: {done.stdout}{done.stderr}".strip())
    return done


def eventually(what, probe, patience=None, pause=0.1):
    """Waits until `probe()` returns something true, and returns it; says what did not come otherwise."""
    deadline = time.monotonic() + (patience or PATIENCE)
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: it did not happen (last: {last})")
        time.sleep(pause)


class Host:
    """A host of the laboratory: a network namespace with a name."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.children = []

    def __str__(self):
        return self.namespace

    def command(self, *command):
        return ["ip", "netns", "exec", self.namespace, *[str(part) for part in command]]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def spawn(self, *command, **options):
        child = subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        self.children.clear()

    def addresses(self, family=4):
        listed = json.loads(self.run("ip", "-j", f"-{family}", "address", "show", "scope", "global").stdout)
        return [info["local"] for link in listed for info in link["addr_info"]
                if not link["ifname"].startswith("martlet")]

    def tcp_serve(self, port, reply="hello"):
        """A web server that answers everything with `reply`."""
        script = (
            "import http.server,sys,socket\n"
            "class S(http.server.ThreadingHTTPServer): address_family=socket.AF_INET6\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "  def do_GET(self):\n"
            f"    self.send_response(200); self.end_headers(); self.wfile.write({reply!r}.encode())\n"
            "  def log_message(self,*a): pass\n"
            f"S(('::',{port}),H).serve_forever()\n")
        child = self.spawn(sys.executable, "-c", script)
        eventually("the web server listens", lambda: f":{port} " in self.run("ss", "-ltn").stdout)
        return child


class Daemon:
    """A program on a host, with its log."""

    def __init__(self, host, directory, name, *arguments, environment=None):
        self.host, self.name = host, name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.arguments = [str(part) for part in arguments]
        self.environment = environment or {}
        self.log = self.directory / f"{name}.log"
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = self.host.spawn(
                BINARIES / self.name, *self.arguments, stdout=log, stderr=log,
                env={**os.environ, **self.environment})
        return self

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """As the kernel's out-of-memory killer would."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(timeout=PATIENCE)

    def stop(self):
        if self.is_running():
            self.child.terminate()
            try:
                self.child.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end on SIGTERM; log: {self.tail()}")

    def tail(self, lines=25):
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def resident_kilobytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


class Control:
    """A coordination server with its relay, and its administrator's command line."""

    def __init__(self, host, directory, address, port=8080, relay=True, derp_port=8443, extra=()):
        self.host, self.address = host, address
        self.directory = pathlib.Path(directory)
        self.url = f"http://{address}:{port}"
        self.socket = self.directory / "control.sock"
        arguments = ["serve", "--listen", f"0.0.0.0:{port}", "--url", self.url, "--state", self.directory / "state",
                     "--socket", self.socket]
        if relay:
            arguments += ["--derp", "--derp-ip", address, "--derp-port", derp_port]
        self.daemon = Daemon(host, self.directory, "martlet-control", *arguments, *extra)

    def start(self):
        self.daemon.start()
        eventually("the coordination server answers", lambda: self.ready())
        return self

    def ready(self):
        if not self.daemon.is_running():
            raise RuntimeError(f"martlet-control ended: {self.daemon.tail()}")
        return self.call("users", "list", check=False).returncode == 0

    def call(self, *arguments, **options):
        return self.host.run(BINARIES / "martlet-control", "--socket", self.socket, *arguments, **options)

    def json(self, *arguments):
        return json.loads(self.call(*arguments, "--output", "json").stdout)

    def user(self, name="alice"):
        users = self.json("users", "list")
        if not any(user["name"] == name for user in users):
            self.call("users", "create", name)
        return name

    def key(self, *options, user="alice"):
        self.user(user)
        return self.json("preauthkeys", "create", "--user", user, *options)["key"]

    def nodes(self):
        return self.json("nodes", "list")


class Node:
    """One of our nodes on a host."""

    def __init__(self, host, directory, port=41641, extra=(), environment=None):
        self.host = host
        self.directory = pathlib.Path(directory)
        self.socket = self.directory / "martletd.sock"
        self.daemon = Daemon(
            host, self.directory, "martletd", "--statedir", self.directory / "state", "--socket", self.socket,
            "--port", port, *extra, environment=environment)

    def start(self):
        self.daemon.start()
        eventually(f"the daemon on {self.host} answers", self.answers)
        return self

    def answers(self):
        if not self.daemon.is_running():
            raise RuntimeError(f"martletd on {self.host} ended: {self.daemon.tail()}")
        return self.call("status", "--json", check=False).returncode == 0

    def call(self, *arguments, **options):
        return self.host.run(BINARIES / "martlet", "--socket", self.socket, *arguments, **options)

    def up(self, control, key=None, *arguments):
        key = key or control.key()
        return self.call("up", "--login-server", control.url, "--auth-key", key, "--timeout", "60s", *arguments)

    def status(self):
        return json.loads(self.call("status", "--json").stdout)

    def ip(self, family=4):
        return self.call("ip", f"-{family}").stdout.strip()

    def peer(self, other):
        """The status of the peer that is the node `other` (or has that address)."""
        address = other if isinstance(other, str) else other.ip()
        for peer in (self.status().get("Peer") or {}).values():
            if address in (peer.get("TailscaleIPs") or []):
                return peer
        return None

    def is_direct(self, other):
        peer = self.peer(other)
        return bool(peer and peer.get("CurAddr"))

    def ping(self, address, count=1, size=None, timeout=5, check=True):
        return self.host.run("ping", "-n", "-c", count, "-W", timeout, *(["-s", size] if size else []), address,
                             check=check)

    def reaches(self, other, family=4):
        address = other if isinstance(other, str) else other.ip(family)
        return self.ping(address, timeout=1, check=False).returncode == 0

    def metrics(self):
        """Counters by their full name, labels included."""
        found = {}
        text = run("curl", "-s", "--fail", "--unix-socket", self.socket,
                   "http://local-tailscaled.sock/localapi/v0/usermetrics").stdout
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found


@contextlib.contextmanager
def scratch(prefix):
    """A directory that goes when the block ends; its daemons' logs are shown when it fails."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
