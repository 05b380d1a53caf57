// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation

/// Numbered datagrams of several flows between the hosts of two nodes, in bursts that are acknowledged.
enum Sequence {
  /// How many datagrams of a flow are on their way at once.
  static let burst = 32

  private static let program = """
    import select, socket, struct, sys
    role, address, port, flows, rounds = sys.argv[1:6]
    port, flows, rounds = int(port), int(flows), int(rounds)
    BURST = 32
    sockets = []
    for flow in range(flows):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        one.settimeout(1)
        if role == "receive": one.bind((address, port + flow))
        else: one.connect((address, port + flow))
        sockets.append(one)
    if role == "receive":
        print("listening", flush=True)
        wanted = {one: 0 for one in sockets}
        late = lost = 0
        while any(next < rounds * BURST for next in wanted.values()):
            ready, _, _ = select.select(sockets, [], [], 50)
            if not ready: break
            for one in ready:
                data, sender = one.recvfrom(2048)
                number = struct.unpack_from("!I", data)[0]
                ends_burst = number % BURST == BURST - 1
                if number >= wanted[one]:
                    lost += number - wanted[one]
                    wanted[one] = number + 1
                elif not (ends_burst and number == wanted[one] - 1): late += 1
                if ends_burst: one.sendto(data[:4], sender)
        print(sum(wanted.values()), late, lost, flush=True)
    else:
        def datagram(number): return struct.pack("!I", number) + bytes(100 + number % 1000)
        def acknowledged(one, last):
            for _ in range(50):
                try:
                    while struct.unpack("!I", one.recv(64))[0] != last: pass
                    return
                except TimeoutError: one.send(datagram(last))
            sys.exit("no acknowledgement")
        for round in range(rounds):
            for one in sockets:
                for step in range(BURST): one.send(datagram(round * BURST + step))
            for one in sockets: acknowledged(one, round * BURST + BURST - 1)
        print("sent", flush=True)
    """

  /// What the receiver saw.
  struct Outcome: Hashable {
    /// How many came or were found missing.
    var count = 0
    /// How many came after one that was sent later, or twice.
    var late = 0
    /// How many did not come: a busy host drops what its own queues have no room for.
    var lost = 0
    /// Whether the sender got every acknowledgement.
    var isAcknowledged = false
  }

  /// Sends `rounds` bursts in each of `flows` flows.
  static func run(
    from sender: TestNode,
    to receiver: TestNode,
    port: Int,
    flows: Int,
    rounds: Int
  ) async throws -> Outcome {
    let rest = ["\(receiver.v4)", "\(port)", "\(flows)", "\(rounds)"]
    let listening = try receiver.host.launch(["python3", "-c", program, "receive"] + rest)
    _ = await listening.line()
    let sending = try sender.host.launch(["python3", "-c", program, "send"] + rest)
    let sent = await sending.output()
    let seen = await listening.output().split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    guard seen.count == 3 else { return Outcome() }
    return Outcome(
      count: seen[0],
      late: seen[1],
      lost: seen[2],
      isAcknowledged: sent.contains("sent")
    )
  }
}
