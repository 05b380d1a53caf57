# SPDX-License-Identifier: Apache-2.0
"""Sends datagrams with made-up senders at a steady pace; the first line of its input is the order, as JSON.

    {"kind": "disco-strangers", "to": ["192.168.77.11", 41641], "count": 100000, "rate": 50000, "facts": {...}}

When all is sent it prints how many, how many bytes with IP headers, and how many a second, as JSON.
"""
import hashlib, json, os, random, select, socket, struct, sys, time

MAGIC = b"TS\xf0\x9f\x92\xac"
COOKIE = b"\x21\x12\xa4\x42"
# The network of the senders: documentation addresses, which nobody has.
SENDERS = "203.0.113."
VARIANTS = 4096


def label(name, key):
    return hashlib.blake2s(name + key).digest()


def initiation(facts):
    """As good as one without the private key can be: its first MAC is right."""
    body = b"\x01\0\0\0" + os.urandom(112)
    mac = hashlib.blake2s(body, key=label(b"mac1----", bytes.fromhex(facts["node_key"])), digest_size=16).digest()
    return body + mac + bytes(16)


def malformed(facts):
    """Any of the languages, cut off or with a byte that is wrong."""
    message = bytearray(random.choice(GOOD)(facts))
    message[random.randrange(len(message))] ^= 1 << random.randrange(8)
    return bytes(message[: random.randrange(1, len(message) + 1)])


def either(*kinds):
    """Makes messages of several kinds, at random."""
    return lambda facts: random.choice(kinds)(facts)


def stun_answer(facts):
    return b"\x01\x01\0\x0c" + COOKIE + os.urandom(12) + b"\0\x20\0\x08\0\x01" + os.urandom(6)


def stun_question(facts):
    return b"\0\x01\0\0" + COOKIE + os.urandom(12)


def strange(facts):
    return MAGIC + os.urandom(32 + 24 + 62)


def forged(facts):
    return MAGIC + bytes.fromhex(facts["disco_key"]) + os.urandom(24 + 62)


def geneve(facts):
    header = bytes([0, random.choice((0, 0x80)), 0x7A, random.choice((0x11, 0x12))]) + os.urandom(3) + b"\0"
    return header + random.choice((MAGIC, b"")) + os.urandom(118)


def wireguard_data(facts):
    return b"\x04\0\0\0" + os.urandom(92)


def nat_pmp(facts):
    return struct.pack(">BBHIHHI", 0, 0x81, 0, random.getrandbits(32), 41641, 9, 7200)


def pcp(facts):
    return (b"\x02\x81\0\0" + struct.pack(">II", 7200, random.getrandbits(32)) + bytes(12) + os.urandom(12)
            + b"\x11\0\0\0" + struct.pack(">HH", 41641, 9) + bytes(10) + b"\xff\xff" + os.urandom(4))


def pcp_restart(facts):
    return b"\x02\x80\0\0" + struct.pack(">II", 0, random.getrandbits(8)) + bytes(12)


def ssdp(facts):
    return (b"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://203.0.113.9/"
            + os.urandom(8).hex().encode() + b"\r\n\r\n")


GOOD = (strange, forged, stun_answer, stun_question, geneve, initiation, wireguard_data)
KINDS = {
    "disco-strange": strange, "disco-forged": forged, "stun": either(stun_answer, stun_question), "geneve": geneve,
    "wireguard-initiations": initiation, "wireguard-data": wireguard_data, "malformed": malformed,
    "router": either(nat_pmp, pcp, pcp_restart, ssdp),
    "replayed": lambda facts: bytes.fromhex(random.choice(facts["captured"])),
}


def packet(source, destination, payload):
    """An IPv4 packet without checksums: the kernel makes that of the header, UDP does without."""
    (host, port), (to, to_port) = source, destination
    udp = struct.pack(">HHHH", port, to_port, 8 + len(payload), 0) + payload
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                         socket.inet_aton(host), socket.inet_aton(to))
    return header + udp


def main():
    order = json.loads(sys.stdin.readline())
    facts, destination = order["facts"], tuple(order["to"])
    make = KINDS[order["kind"]]
    packets = []
    for _ in range(VARIANTS):
        source = order.get("from") or (SENDERS + str(random.randrange(1, 255)), random.randrange(1024, 1040))
        packets.append(packet(tuple(source), destination, make(facts)))
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    begin, sent, total = time.monotonic(), 0, 0
    while sent < order["count"]:
        due = min(order["count"], int((time.monotonic() - begin) * order["rate"]) + 1)
        while sent < due:
            piece = packets[sent % VARIANTS]
            try:
                out.sendto(piece, (destination[0], 0))
                total += len(piece)
            except OSError:
                pass  # The queue of the link is full: it counts as sent.
            sent += 1
        select.select([], [], [], 0.001)
    spent = time.monotonic() - begin
    print(json.dumps({"sent": sent, "bytes": total, "rate": round(sent / spent)}), flush=True)


main()
