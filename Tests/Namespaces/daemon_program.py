#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon as a program: help, settings and their layers, the service manager, exit codes."""
import contextlib, json, os, pathlib, shutil, signal, socket, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, Host, Node, eventually, main, require_programs, require_root, run, scratch, test

NAMESPACE = "mtprogram"
UNPRIVILEGED = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


#: A library with everything that is asked for by name, whose jobs are done before they are begun.
SEALS_NOTHING = r"""
#include <stdint.h>
#include <stdlib.h>
static uint32_t next(char *manager, uint32_t count, char **jobs) {
  for (uint32_t i = 0; i < count; i++) jobs[i] = manager + 1024 + i * 200;
  return count;
}
static uint32_t submit(char *manager, uint32_t count, char **jobs) {
  for (uint32_t i = 0; i < count; i++) *(uint32_t *)(jobs[i] + 128) = 3;
  return count;
}
unsigned imb_get_version(void) { return VERSION; }
size_t imb_get_mb_mgr_size(void) { return 200744; }
char *alloc_mb_mgr(uint64_t flags) { return calloc(1, 200744); }
void free_mb_mgr(char *manager) { free(manager); }
void init_mb_mgr_avx512(char *manager) {
  *(uint64_t *)(manager + 8) = 0x37FFFF;
  *(void **)(manager + 952) = next;
  *(void **)(manager + 968) = submit;
}
"""


def broken_libraries(directory):
    """Folders with a library of the right name that is not fit, and what has to be said of each."""
    name = "libIPSec_MB.so.1"
    hasProcessor = "avx512ifma" in pathlib.Path("/proc/cpuinfo").read_text()
    compiler = shutil.which("cc") or shutil.which("clang")
    assert compiler, "there is no C compiler, which Swift needs to link"
    for folder, source, version, reason in (
            ("damaged", None, 0, "not installed"),
            ("impostor", "int nothing;", 0, "lacks imb_get_version"),
            ("future", SEALS_NOTHING, 0x20001, "2.0.1 is not one that was verified" if hasProcessor else "AVX-512"),
            ("liar", SEALS_NOTHING, 0x10300, "wrong answer in the self-test" if hasProcessor else "AVX-512")):
        made = directory / folder
        made.mkdir()
        if source is None:
            (made / name).write_bytes(b"no library at all" * 100)
        else:
            (made / "library.c").write_text(source)
            run(compiler, "-shared", "-fPIC", f"-DVERSION={version}", "-o", made / name, made / "library.c")
        yield made, reason


class World:
    def __init__(self, directory):
        self.directory = directory
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")

    def daemon(self, *arguments, environment=None, before=()):
        return self.host.run(*before, BINARIES / "martletd", *arguments, check=False, timeout=30,
                             env={"PATH": os.environ["PATH"], **(environment or {})})


@contextlib.contextmanager
def world():
    require_programs("martletd", "martlet")
    require_root()
    with scratch("martlet-program-") as directory:
        os.chmod(directory, 0o755)
        made = World(directory)
        try:
            yield made
        finally:
            made.host.close()
            run("ip", "netns", "delete", NAMESPACE, check=False)


@test("help lists every flag, and the version is told, without touching anything")
def help(world):
    told = world.daemon("--help")
    assert told.returncode == 0, told
    for flag in ("--config", "--statedir", "--socket", "--tun", "--port", "--mtu", "--shards", "--helpers", "--cipher", "--log-level", "--cleanup"):
        assert flag in told.stdout, flag
    version = world.daemon("--version")
    assert version.returncode == 0 and version.stdout.strip()[0].isdigit(), version


@test("what is not understood ends with 2 and says what")
def usage(world):
    for arguments, named in ((["--sideways"], "--sideways"), (["--port", "70000"], "--port"), (["word"], "word"),
                             (["--mtu", "12"], "--mtu"), (["--shards", "9"], "--shards"), (["--helpers", "5"], "--helpers"), (["--cipher", "rot13"], "--cipher"), (["--tun", "a/b"], "--tun"), (["--log-level", "loud"], "--log-level"),
                             (["--statedir", "relative"], "--statedir")):
        told = world.daemon(*arguments)
        assert told.returncode == 2 and named in told.stderr, (arguments, told)


@test("a wrong configuration file ends with 3 and names the file and the key")
def file(world):
    path = world.directory / "martletd.json"
    for text, named in (("{", "JSON"), ("[]", "object"), ('{"prot": 1}', "prot"), ('{"port": "many"}', "port"),
                        ('{"port": {"a": 1}}', "port")):
        path.write_text(text)
        told = world.daemon("--config", path, "--statedir", world.directory / "none")
        assert told.returncode == 3 and named in told.stderr and str(path) in told.stderr, (text, told)
    missing = world.daemon("--config", world.directory / "missing.json")
    assert missing.returncode == 3 and "missing.json" in missing.stderr, missing


@test("a flag wins over a variable, that over the file")
def layers(world):
    path = world.directory / "layers.json"
    path.write_text(json.dumps({"tun": "fromfile", "port": 45000, "statedir": str(world.directory / "layers")}))
    node = Node(world.host, world.directory / "layers", extra=["--config", path, "--tun", "fromflag"],
                environment={"MARTLET_TUN": "fromvar", "MARTLET_SOCKET": "/nowhere"})
    node.daemon.arguments = node.daemon.arguments[2:]  # the state directory comes from the file
    node.start()
    links = world.host.run("ip", "-o", "link").stdout
    assert "fromflag" in links and "fromvar" not in links and "fromfile" not in links, links
    node.daemon.stop()
    node.daemon.arguments = [part for part in node.daemon.arguments if part not in ("--tun", "fromflag")]
    node.start()
    assert "fromvar" in world.host.run("ip", "-o", "link").stdout
    node.daemon.stop()


@test("without privilege it ends with 4 and says what to do")
def privilege(world):
    state = world.directory / "nobody"
    state.mkdir()
    os.chown(state, 65534, 65534)
    told = world.daemon("--statedir", state, "--socket", state / "s.sock", before=UNPRIVILEGED)
    assert told.returncode == 4 and "root" in told.stderr, told
    told = world.daemon("--statedir", "/root/martlet-state", before=UNPRIVILEGED)
    assert told.returncode == 4 and "/root/martlet-state" in told.stderr, told


@test("a second daemon ends with 5, whatever the two would share")
def shared(world):
    first = Node(world.host, world.directory / "first").start()
    other = world.directory / "other"
    common = ["--tun", "martlet9"]
    for arguments, named in (
            (["--statedir", first.directory / "state", "--socket", other / "s", "--port", "0"], str(first.daemon.pid)),
            (["--statedir", other, "--socket", other / "s", "--port", "41641"], "41641"),
            (["--statedir", other, "--socket", other / "s", "--port", "0"], "routing rules")):
        told = world.daemon(*arguments, *common)
        assert told.returncode == 5 and named in told.stderr, (arguments, told)
    assert first.answers()
    first.daemon.stop()


@test("the service manager is told when the daemon is ready and when it stops")
def notify(world):
    path = world.directory / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)
        node = Node(world.host, world.directory / "notified", environment={"NOTIFY_SOCKET": str(path)})
        node.daemon.start()
        assert b"READY=1" in listener.recv(4096)
        assert node.answers()
        node.daemon.child.send_signal(signal.SIGTERM)
        assert b"STOPPING=1" in listener.recv(4096)
        assert node.daemon.child.wait(timeout=60) == 0


@test("clean-up with a daemon running refuses; without one it succeeds and may be repeated")
def cleanup(world):
    node = Node(world.host, world.directory / "cleaned").start()
    refused = world.daemon("--cleanup")
    assert refused.returncode == 5, refused
    assert node.answers()
    node.daemon.kill()
    for _ in range(2):
        assert world.daemon("--cleanup").returncode == 0


@test("what packets are sealed with is told with its speed; a library that is not fit is refused with the reason")
def crypto(world):
    def told(environment=None):
        done = world.host.run(BINARIES / "martlet", "--socket", world.directory / "none.sock", "debug", "crypto", "--json",
                              env={"PATH": os.environ["PATH"], **(environment or {})})
        report = json.loads(done.stdout)
        measured = {(speed["Backend"], speed["Bytes"], speed["Train"]) for speed in report["Speeds"]}
        for backend in {report["Chosen"], "boringssl"}:
            assert {(backend, 64, 1), (backend, 64, 32), (backend, 1420, 1), (backend, 1420, 32)} <= measured, report
        assert all(speed["SealNanoseconds"] > 0 and speed["OpenNanoseconds"] > 0 for speed in report["Speeds"]), report
        assert "Daemon" not in report, report
        backends = {backend["Name"]: backend for backend in report["Backends"]}
        assert backends["boringssl"]["SelfTest"] == "passed", report
        assert backends[report["Chosen"]]["Usable"], report
        return report["Chosen"], backends["ipsec-mb"]

    chosen, fastest = told()
    assert (chosen == "ipsec-mb") == fastest["Usable"], (chosen, fastest)
    assert fastest["Usable"] or fastest["Why"], fastest
    for folder, reason in broken_libraries(world.directory):
        chosen, fastest = told({"LD_LIBRARY_PATH": str(folder)})
        assert chosen == "boringssl" and not fastest["Usable"] and reason in fastest["Why"], (folder, chosen, fastest)
        text = world.host.run(BINARIES / "martlet", "--socket", world.directory / "none.sock", "debug", "crypto",
                              env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder)}).stdout
        assert any("ipsec-mb:" in line and "not used" in line and reason in line for line in text.splitlines()), text


@test("a daemon seals with what it was asked for, or says by name what it cannot use and goes on with BoringSSL")
def cipher(world):
    def sealing(name, *arguments, environment=None):
        node = Node(world.host, world.directory / name, extra=arguments, environment=environment).start()
        report = json.loads(node.call("debug", "crypto", "--json").stdout)
        node.daemon.stop()
        return report, node.daemon.log.read_text()

    report, log = sealing("fastest")
    assert report["Daemon"] == report["Chosen"], report
    report, log = sealing("plain", "--cipher", "boringssl")
    assert report["Daemon"] == "boringssl" and "cannot be used" not in log, (report, log)
    environment = {"LD_LIBRARY_PATH": str(world.directory / "liar")}
    report, log = sealing("refused", "--cipher", "ipsec-mb", environment=environment)
    assert report["Daemon"] == "boringssl", report
    assert "the cipher that was asked for cannot be used" in log and "asked=ipsec-mb" in log, log
    assert "self-test" in log or "AVX-512" in log, log


@test("the LocalAPI's socket left by a killed daemon is taken over, a living one is not")
def stale_socket(world):
    node = Node(world.host, world.directory / "stale").start()
    node.daemon.kill()
    node.start()
    assert node.answers()
    node.daemon.stop()


if __name__ == "__main__":
    main(world)
