# SPDX-License-Identifier: Apache-2.0
"""Where the processor time of our daemon goes under a load, by kind of code: sampled by perf."""
import pathlib, re, shutil, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Harness"))
from harness import BINARIES, run

LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(.*)$")
CIPHER = re.compile(r"boringssl|chacha|poly1305|aead|\bimb_|ipsec", re.IGNORECASE)
RUNTIME = re.compile(r"^_?swift_|^swift::|Hasher|RawDictionaryStorage|^\$ss")
KINDS = ("cipher", "kernel", "own code", "Swift runtime", "C library")


def is_possible():
    return shutil.which("perf") is not None


class Recording:
    """A recording of one process, under way."""

    def __init__(self, directory, name, pid, seconds):
        directory.mkdir(parents=True, exist_ok=True)
        self.data, self.cache = directory / f"{name}.perf", directory / "symbols"
        self.child = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", self.data, "-p", str(pid), "--", "sleep",
             str(seconds)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def shares(self):
        """Percent of the samples by kind of code, largest first, and the functions at the top."""
        self.child.wait(timeout=60)
        # The program that runs has no names; the one that it was stripped from has, under the same build ID.
        whole = BINARIES.parent / "release/martletd"
        if whole.exists():
            run("perf", "--buildid-dir", self.cache, "buildid-cache", "--add", whole, check=False)
        told = run("perf", "--buildid-dir", self.cache, "report", "-i", self.data, "--no-children", "--stdio", "-F",
                   "overhead,dso,symbol", check=False).stdout
        shares, functions = dict.fromkeys(KINDS, 0.0), []
        for line in told.splitlines():
            if found := LINE.match(line):
                percent, library, level, symbol = float(found[1]), found[2], found[3], found[4].strip()
                shares[kind(library, level, symbol)] += percent
                functions.append((percent, symbol))
        if not shares["cipher"]:
            raise AssertionError(f"perf found no names for martletd; {whole} should have them")
        return {kind: round(percent, 1) for kind, percent in shares.items()}, functions[:12]


def kind(library, level, symbol):
    if level == "k":
        return "kernel"
    if CIPHER.search(symbol) or CIPHER.search(library):
        return "cipher"
    if RUNTIME.search(symbol):
        return "Swift runtime"
    return "own code" if library == "martletd" else "C library"
