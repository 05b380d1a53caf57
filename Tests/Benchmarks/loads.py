# SPDX-License-Identifier: Apache-2.0
"""Loads on a tunnel, and what a daemon spends under them."""
import json, os, pathlib, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, eventually

BENCH = BINARIES / "martlet-bench"
LOAD_PORT = 9000


def cpu_seconds(pids):
    """Processor time of daemons so far, as the kernel accounts it to processes."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_nanoseconds(pid):
    """The same of the threads that a daemon has now, but exactly."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def memory(pids, field="VmRSS"):
    """Megabytes of a daemon: `VmRSS` is all that is mapped in, `RssAnon` what the kernel cannot take back."""
    kilobytes = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024 / len(pids)


def begin_iperf(bed, address, seconds, flows=1, reverse=False):
    """Starts a bulk transfer from a to b, or back; the client's process, for `end_iperf`."""
    bed.b.spawn("iperf3", "-s", "-1", "-B", address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually("iperf3 listens", lambda: ":5201 " in bed.b.run("ss", "-ltn").stdout, pause=0.02)
    return bed.a.spawn("iperf3", "-c", address, "-t", seconds, "-P", flows, "-J", *(["-R"] if reverse else []),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_iperf(client, patience=90):
    """Gigabits a second as the receiver counted them."""
    told, _ = client.communicate(timeout=patience)
    report = json.loads(told)
    if "error" in report:
        raise AssertionError(f"iperf3: {report['error']}")
    return report["end"]["sum_received"]["bits_per_second"] / 1e9


def bulk(bed, tunnel, seconds, family=4, flows=1, reverse=False):
    """Throughput, and what the daemons at both ends spent on a gigabyte."""
    before = cpu_seconds(tunnel.pids)
    rate = end_iperf(begin_iperf(bed, tunnel.addresses[family], seconds, flows, reverse))
    spent = cpu_seconds(tunnel.pids) - before
    return rate, spent / (rate * seconds / 8)


def datagrams(bed, tunnel, size, rate, seconds):
    """Datagrams a second that arrive when `rate` a second are offered, and the rate that was."""
    address = tunnel.addresses[4]
    receiver = bed.b.spawn(BENCH, "receive", "--listen", f"{address}:{LOAD_PORT}", "--patience", "20s",
                           stdout=subprocess.PIPE, text=True)
    eventually("the receiver listens", lambda: f":{LOAD_PORT} " in bed.b.run("ss", "-lun").stdout, pause=0.02)
    sent = json.loads(bed.a.run(BENCH, "send", "--to", f"{address}:{LOAD_PORT}", "--size", size, "--rate", rate,
                                "--duration", f"{seconds}s", timeout=seconds + 60).stdout)
    told, _ = receiver.communicate(timeout=60)
    return json.loads(told)["received"] / sent["seconds"], sent["offered"] / sent["seconds"]


def round_trips(bed, address, count=1000):
    """The median and the 99th of a hundred of round trips, in microseconds."""
    text = bed.a.run("ping", "-n", "-i", "0.002", "-c", count, "-W", "2", address, check=False, timeout=90).stdout
    found = sorted(float(line.split("time=")[1].split()[0]) * 1000 for line in text.splitlines() if "time=" in line)
    if len(found) < count // 2:
        raise AssertionError(f"of {count} pings {len(found)} were answered")
    return found[len(found) // 2], found[len(found) * 99 // 100]


def round_trips_under_load(bed, tunnel, seconds):
    """The same while a bulk flow goes the same way."""
    client = begin_iperf(bed, tunnel.addresses[4], seconds + 2)
    time.sleep(0.5)
    trips = round_trips(bed, tunnel.addresses[4], count=max(100, int(seconds * 400)))
    end_iperf(client)
    return trips


def handshakes(bed, tunnel, rounds, rate):
    """Handshakes that the daemon at b answers in a second of one core."""
    daemon = tunnel.pids[1]
    before = cpu_nanoseconds(daemon)
    told = json.loads(bed.a.run(BENCH, "handshakes", "--to", tunnel.endpoint, "--key", tunnel.key, "--rounds", rounds,
                                "--rate", rate, timeout=120).stdout)
    spent = (cpu_nanoseconds(daemon) - before) / 1e9
    if told["answered"] < told["begun"] * 0.98 or told["cookies"]:
        raise AssertionError(f"{tunnel.label} did not answer every handshake: {told}")
    return told["answered"] / spent
