# SPDX-License-Identifier: Apache-2.0
"""A line that takes its time, on a router whose kernel has no queueing discipline for that.

    delay.py MILLISECONDS LOSS-PERCENT

Packets from the router's link `lan` to others pass through a TUN interface, where each is held for as long; some are lost.
"""
import collections, fcntl, os, random, select, struct, subprocess, sys, time

hold, loss = float(sys.argv[1]) / 1000, float(sys.argv[2]) / 100
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"slow", 0x1001))  # TUNSETIFF: TUN without a header
for command in (
        "ip link set slow up", "sysctl -q -w net.ipv4.conf.slow.rp_filter=0 net.ipv4.conf.all.rp_filter=0",
        "ip route replace default dev slow table 77", "ip rule add iif lan lookup 77 pref 77",
        # What is held is known to the NAT when it comes out.
        "nft add table ip slow", "nft add chain ip slow way { type filter hook prerouting priority raw; }",
        "nft add rule ip slow way iifname lan notrack",
        "nft insert rule ip lab forward oifname slow accept", "nft insert rule ip lab forward iifname slow accept"):
    subprocess.run(command.split(), check=True)
random.seed(1)
held = collections.deque()
print("ready", flush=True)
while True:
    wait = max(0, held[0][0] - time.monotonic()) if held else None
    if select.select([tun], [], [], wait)[0]:
        packet = os.read(tun, 65535)
        if random.random() >= loss:
            held.append((time.monotonic() + hold, packet))
    while held and held[0][0] <= time.monotonic():
        try:
            os.write(tun, held.popleft()[1])
        except OSError:
            pass  # The router has no place for it: one more that is lost.
