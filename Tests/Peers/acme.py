#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Certificates for the relay from an authority that speaks ACME: Debian's pebble, which refuses a fifth of the nonces.

Where pebble is not installed the tests are skipped by name. No packet leaves the namespace.
"""
import contextlib, json, os, pathlib, signal, stat, sys

HARNESS = pathlib.Path(__file__).resolve().parents[1] / "Harness"
sys.path.insert(0, str(HARNESS))
from harness import BINARIES, Daemon, Host, eventually, main, require_programs, require_root, require_tool, run, scratch, test
from packages import installed
from web_socket_clients import PACKAGES

NAMESPACE = "mtp-acme"
NAME = "relay.test"
CUSTOMER_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

OLD = """
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
now = datetime.datetime.now(datetime.timezone.utc)
made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=80)).not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(sys.argv[2])]), False).sign(key, hashes.SHA256()))
pem = serialization.Encoding.PEM
open(sys.argv[1], "wb").write(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL,
                              serialization.NoEncryption()) + made.public_bytes(pem))
"""


class World:
    def __init__(self, directory, python):
        self.directory, self.python = pathlib.Path(directory), python
        self.daemons = []
        run("ip", "netns", "delete", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        self.host = Host(NAMESPACE)
        self.host.run("ip", "link", "set", "lo", "up")

    def start(self):
        """The authority, its own certificate, and names that all lead here."""
        self.authority = self.directory / "authority.pem"
        key = self.directory / "authority.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=authority", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.authority)
        settings = self.directory / "pebble.json"
        settings.write_text(json.dumps({"pebble": {
            "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
            "certificate": str(self.authority), "privateKey": str(key), "httpPort": 80, "tlsPort": 443,
            "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
        self.exclusive = self.directory / "exclusive.json"
        self.exclusive.write_text(settings.read_text().replace("14000", "14002").replace("15000", "15002").replace(
            '"externalAccountBindingRequired": false',
            f'"externalAccountBindingRequired": true, "externalAccountMACKeys": {{"customer-1": "{CUSTOMER_KEY}"}}'))
        self.log = self.directory / "pebble.log"
        with open(self.log, "wb") as log:
            self.host.spawn("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01",
                            "127.0.0.1:8053", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management",
                            "127.0.0.1:8055", stdout=log, stderr=log)
        self.pebble = self.authority_of(settings)
        self.root = self.directory / "root.pem"
        eventually("the authority answers", lambda: self.host.run(
            "curl", "-sk", "--fail", "-o", self.root, "https://127.0.0.1:15000/roots/0").returncode == 0)

    def authority_of(self, settings):
        with open(self.log, "ab") as log:
            return self.host.spawn(
                "pebble", "-config", settings, "-dnsserver", "127.0.0.1:8053", stdout=log, stderr=log,
                env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20",
                     "PEBBLE_AUTHZREUSE": "0"})

    @contextlib.contextmanager
    def relay(self, name, *arguments, url="https://localhost:14000/dir"):
        self.state = self.directory / name
        daemon = Daemon(self.host, self.state, "martlet-derp", "--certmode", "letsencrypt", "--hostname", NAME,
                        "--stun-port=-1", "--state", self.state / "state", "--acme-url", url, "--acme-ca", self.authority,
                        *([] if "--listen" in arguments else ["--listen", "127.0.0.1:443"]), *arguments)
        self.daemons.append(daemon)
        daemon.start()
        eventually("the relay serves", lambda: "serving" in daemon.tail())
        try:
            yield daemon
        finally:
            daemon.stop()

    def is_trusted(self, port=443, root=None):
        """Whether the relay shows a certificate that the authority vouches for."""
        return self.host.run("curl", "-s", "--fail", "--max-time", "5", "--cacert", root or self.root, "--resolve",
                             f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/robots.txt", check=False).returncode == 0

    def explain(self):
        for daemon in self.daemons:
            print(f"--- {daemon.directory.name}\n{daemon.tail()}", flush=True)
        print("--- pebble\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-25:]), flush=True)

    def close(self):
        self.host.close()
        run("ip", "netns", "delete", NAMESPACE, check=False)


@contextlib.contextmanager
def world():
    require_programs("martlet-derp")
    require_root()
    require_tool("ip", "curl", "openssl", "pebble", "pebble-challtestsrv")
    python = installed(*PACKAGES) / "bin/python"
    with scratch("martlet-acme-") as directory:
        made = World(directory, python)
        try:
            made.start()
            yield made
        finally:
            made.close()


@test("the relay proves its name, shows what the authority gave, and keeps it over a restart")
def issued(world):
    with world.relay("issued") as daemon:
        eventually("the certificate is good", world.is_trusted)
        assert "certName" not in daemon.tail(), daemon.tail()
        assert "provenBy=tls-alpn-01" in daemon.tail(), daemon.tail()
        # Who asks for an answer now, sees what everybody sees.
        late = world.host.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-alpn", "acme-tls/1", check=False).stdout
        assert "No ALPN negotiated" in late and NAME in late, late
        certificates = world.state / "state/certs"
        for file in certificates.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        kept = (certificates / NAME).read_text()
        assert kept.count("BEGIN CERTIFICATE") >= 2 and kept.count("PRIVATE KEY-----") == 2
        for secret in (kept, (certificates / "acme-account.key").read_text()):
            line = secret.splitlines()[1]
            assert line not in daemon.log.read_text()
        # Nothing is left at the page.
        head = world.host.run("curl", "-si", "http://127.0.0.1/.well-known/acme-challenge/token").stdout
        assert " 302 " in head, head
        daemon.stop()
        asked = daemon.log.read_text().count("asks for a certificate")
        daemon.start()
        eventually("the certificate is good again", world.is_trusted)
        assert daemon.log.read_text().count("asks for a certificate") == asked
        assert (certificates / NAME).read_text() == kept


@test("inside TLS a name is proven with port 80 closed; by a page, where TLS is not at port 443")
def proofs(world):
    with world.relay("by-tls", "--http-listen", "127.0.0.1:8080") as daemon:
        eventually("the certificate is good", world.is_trusted)
        assert "provenBy=tls-alpn-01" in daemon.tail(), daemon.tail()
    with world.relay("by-page", "--listen", "127.0.0.1:8443", "--http-listen", "127.0.0.1:80") as daemon:
        eventually("the certificate is good", lambda: world.is_trusted(8443))
        assert "provenBy=http-01" in daemon.tail(), daemon.tail()
    with world.relay("by-nothing", "--listen", "127.0.0.1:8443", "--http-listen", "127.0.0.1:8080") as daemon:
        eventually("both reasons are told", lambda: "could not get a certificate" in daemon.tail())
        assert "by tls-alpn-01" in daemon.tail() and "by http-01" in daemon.tail(), daemon.tail()


@test("an authority that has customers only gives a certificate to the right one, whose key nobody sees")
def customers(world):
    authority = world.authority_of(world.exclusive)
    try:
        root = world.directory / "exclusive-root.pem"
        eventually("the authority answers", lambda: world.host.run(
            "curl", "-sk", "--fail", "-o", root, "https://127.0.0.1:15002/roots/0").returncode == 0)
        url = "https://localhost:14002/dir"
        with world.relay("stranger", url=url) as daemon:
            eventually("the reason is told", lambda: "externalAccountRequired" in daemon.tail())
        key = world.directory / "customer.key"
        key.write_text(CUSTOMER_KEY + "\n")
        with world.relay("customer", "--acme-eab-kid", "customer-1", "--acme-eab-key", f"file:{key}", url=url) as daemon:
            eventually("the certificate is good", lambda: world.is_trusted(root=root))
            assert CUSTOMER_KEY not in daemon.log.read_text()
    finally:
        authority.terminate()
        authority.wait(timeout=30)


@test("a certificate is renewed under load: old connections go on, new ones see the new one")
def renewed(world):
    certificates = world.directory / "renewed/state/certs"
    certificates.mkdir(parents=True, mode=0o700)
    run(world.python, "-c", OLD, certificates / NAME, NAME)
    old = (certificates / NAME).read_text()
    # The authority answers later, so that there is a before.
    world.pebble.send_signal(signal.SIGSTOP)
    try:
        with world.relay("renewed") as daemon:
            shown = lambda: world.host.run("openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", NAME).stdout
            assert "CN = old" in shown()
            end = world.directory / "end"
            said = world.directory / "said"
            with open(said, "wb") as output:
                load = world.host.spawn(world.python, HARNESS / "web_socket_clients.py", "steady", "wss://127.0.0.1/derp",
                                        end, stdout=output, stderr=output)
            eventually("the clients exchange packets", lambda: "connected" in said.read_text())
            world.pebble.send_signal(signal.SIGCONT)
            eventually("the new certificate is shown", world.is_trusted)
            assert (certificates / NAME).read_text() != old
            end.touch()
            assert load.wait(timeout=60) == 0, said.read_text()
            assert int(said.read_text().split()[-1]) > 10, said.read_text()
    finally:
        world.pebble.send_signal(signal.SIGCONT)


@test("where the authority cannot be reached the relay serves all the same and says why")
def unreachable(world):
    with world.relay("unreachable", url="https://localhost:14001/dir") as daemon:
        eventually("the reason is told", lambda: "could not get a certificate" in daemon.tail())
        assert "localhost:14001" in daemon.tail(), daemon.tail()
        assert world.host.run("curl", "-sk", "--fail", "https://127.0.0.1/derp/probe").returncode == 0
        assert not world.is_trusted()


@test("what cannot work is refused with exit code 3; certificates may lie in the directory by hand")
def configuration(world):
    for arguments in (["--certmode", "gcp", "--hostname", NAME], ["--certmode", "step"],
                      ["--certmode", "gcp", "--hostname", NAME, "--acme-eab-kid", "a", "--acme-eab-key", CUSTOMER_KEY],
                      ["--certmode", "letsencrypt", "--hostname", NAME, "--acme-eab-kid", "a"],
                      ["--certmode", "letsencrypt", "--hostname", "192.0.2.1"],
                      ["--certmode", "letsencrypt"], ["--certmode", "manual"], ["--certmode", "manual", "--plain"],
                      ["--certmode", "letsencrypt", "--hostname", NAME, "--acme-url", "http://ca.test"],
                      ["--certmode", "letsencrypt", "--hostname", NAME, "--acme-ca", "/nowhere"]):
        done = world.host.run(BINARIES / "martlet-derp", *arguments, "--state", world.directory / "refused",
                              check=False, timeout=30)
        assert done.returncode == 3 and done.stderr, (arguments, done)
    certificates = world.directory / "by-hand"
    certificates.mkdir()
    for name, source in ((f"{NAME}.crt", "authority.pem"), (f"{NAME}.key", "authority.key")):
        (certificates / name).write_bytes((world.directory / source).read_bytes())
    daemon = Daemon(world.host, world.directory / "manual", "martlet-derp", "--certmode", "manual", "--certdir",
                    certificates, "--hostname", NAME, "--listen", "127.0.0.1:443", "--stun-port=-1", "--state",
                    world.directory / "manual/state").start()
    try:
        eventually("the relay serves", lambda: "serving" in daemon.tail())
        shown = world.host.run("openssl", "s_client", "-connect", "127.0.0.1:443").stdout
        assert "CN = authority" in shown, shown
    finally:
        daemon.stop()


if __name__ == "__main__":
    main(world)
