#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first run, as a newcomer makes it: `make up`, a second machine by the printed command, `make down`.

Two hosts in network namespaces with mounts of their own, so that nothing of the machine is touched.
"""
import contextlib, json, os, pathlib, re, shutil, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, ROOT, Skip, eventually, main, require_programs, require_root, run, test

PRIVATE = ["/run/martlet", "/var/lib/martlet", "/var/log/martlet", "/etc/martlet"]


class Machine:
    """A network namespace and a mount namespace, held open by a sleeping process."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.holder = subprocess.Popen(
            ["ip", "netns", "exec", name, "unshare", "--mount", "--propagation", "private", "sh", "-c",
             "echo ready; exec sleep infinity"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.holder.stdout.readline()
        for directory in PRIVATE:
            os.makedirs(directory, exist_ok=True)
            self.run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.name}", "--mount", "-t", str(self.holder.pid), "--wd=" + str(ROOT),
                *[str(part) for part in command]]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def martlet(self, *arguments, **options):
        return self.run(BINARIES / "martlet", *arguments, **options)

    def footprint(self):
        """Everything that could be left behind: links, addresses, routes, rules, firewall, processes."""
        seen = {}
        for what in (["link"], ["-4", "rule"], ["-6", "rule"], ["-4", "route", "show", "table", "all"],
                     ["-6", "route", "show", "table", "all"]):
            text = self.run("ip", "-o", *what).stdout
            seen[" ".join(what)] = sorted(re.sub(r"expires \S+|\b(mtu|qlen|state) \S+", "", text).splitlines())
        seen["firewall"] = self.run("nft", "list", "ruleset").stdout
        own = os.stat(f"/run/netns/{self.name}").st_ino
        seen["processes"] = sorted(
            name for name in (self.process(pid, own) for pid in os.listdir("/proc") if pid.isdigit()) if name)
        return seen

    @staticmethod
    def process(pid, namespace):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == namespace:
                return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return None

    def close(self):
        self.run("make", "-s", "down", check=False)
        self.holder.kill()
        self.holder.wait()
        run("ip", "netns", "delete", self.name, check=False)


class World:
    def __init__(self, first, second):
        self.first, self.second = first, second
        self.printed = ""

    def explain(self):
        for machine in (self.first, self.second):
            for name in ("martlet-control", "martletd"):
                shown = machine.run("tail", "-n", "15", f"/var/log/martlet/{name}.log", check=False).stdout
                if shown:
                    print(f"--- {machine.name} {name}\n{shown}", flush=True)


@contextlib.contextmanager
def two_machines():
    require_programs("martletd", "martlet", "martlet-control")
    require_root()
    for name in ("mtour-a", "mtour-b"):
        run("ip", "netns", "delete", name, check=False)
    first, second = Machine("mtour-a"), Machine("mtour-b")
    try:
        run("ip", "-n", first.name, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", second.name)
        for machine, address in ((first, "10.98.0.1/24"), (second, "10.98.0.2/24")):
            machine.run("ip", "address", "add", address, "dev", "wire")
            machine.run("ip", "link", "set", "wire", "up")
        eventually("addresses settle", lambda: "tentative" not in first.run("ip", "address").stdout
                   + second.run("ip", "address").stdout)
        world = World(first, second)
        world.before = (first.footprint(), second.footprint())
        yield world
    finally:
        first.close()
        second.close()


@test("make up starts everything, joins this machine and says how to add a second")
def up(world):
    world.printed = world.first.run("make", "-s", "up", timeout=3000).stdout
    assert re.search(r"^100\.\S+ .*-$", world.printed, re.M) or "100." in world.printed, world.printed
    assert "make join LOGIN_SERVER=http://10.98.0.1:8080 AUTH_KEY=martlet-auth-" in world.printed, world.printed


@test("make up a second time does no harm, even with programs that were built again")
def again(world):
    for program in BINARIES.glob("martlet*"):
        copy = program.with_name("." + program.name)
        shutil.copy2(program, copy)
        os.replace(copy, program)
    before = world.first.martlet("ip", "-4").stdout
    text = world.first.run("make", "-s", "up", timeout=3000).stdout
    assert world.first.martlet("ip", "-4").stdout == before
    world.printed = text
    listed = json.loads(world.first.run(BINARIES / "martlet-control", "nodes", "list", "--output", "json").stdout)
    assert len(listed) == 1, listed


@test("a second machine joins by the printed command and is pinged")
def second(world):
    command = re.search(r"make join .*", world.printed).group(0)
    world.second.run("sh", "-c", command.replace("make ", "make -s ", 1), timeout=3000)
    address = world.second.martlet("ip", "-4").stdout.strip()
    pong = world.first.martlet("ping", "--timeout", "10s", "--c", "10", address).stdout
    assert "pong from" in pong, pong
    world.first.run("ping", "-n", "-c", "2", "-W", "5", address)
    assert address in world.first.martlet("status").stdout


@test("the printed key serves one machine only")
def once(world):
    key = re.search(r"AUTH_KEY=(\S+)", world.printed).group(1)
    done = world.second.martlet("login", "--login-server", "http://10.98.0.1:8080", "--auth-key", key,
                                "--timeout", "10s", check=False, timeout=60)
    assert done.returncode != 0, done.stdout


@test("make down leaves no interface, route, rule, firewall rule or process")
def down(world):
    for machine, before in zip((world.first, world.second), world.before):
        machine.run("make", "-s", "down")
        after = machine.footprint()
        for what in before:
            assert after[what] == before[what], f"{machine.name} {what}: {before[what]} became {after[what]}"


@test("make up without root, without /dev/net/tun says so plainly")
def refusals(world):
    refused = run("setpriv", "--reuid", "65534", "--clear-groups", ROOT / "Scripts/up", check=False)
    assert refused.returncode != 0 and "root" in refused.stderr, refused
    machine = world.second
    hidden = machine.run("unshare", "--mount", "sh", "-c",
                         "mount -t tmpfs tmpfs /dev/net && exec Scripts/up", check=False)
    assert hidden.returncode != 0 and "/dev/net/tun" in hidden.stderr, hidden


if __name__ == "__main__":
    main(two_machines)
