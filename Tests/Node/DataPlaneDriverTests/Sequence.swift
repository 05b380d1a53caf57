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
        one.settimeout(50)
        if role == "receive": one.bind((address, port + flow))
        else: one.connect((address, port + flow))
        sockets.append(one)
    if role == "receive":
        print("listening", flush=True)
        wanted = {one: 0 for one in sockets}
        wrong = 0
        while any(next < rounds * BURST for next in wanted.values()):
            ready, _, _ = select.select(sockets, [], [], 50)
            if not ready: break
            for one in ready:
                data, sender = one.recvfrom(2048)
                number = struct.unpack_from("!I", data)[0]
                wrong += number != wanted[one]
                wanted[one] = number + 1
                if number % BURST == BURST - 1: one.sendto(data[:4], sender)
        print(sum(wanted.values()), wrong, flush=True)
    else:
        for round in range(rounds):
            for one in sockets:
                for step in range(BURST):
                    number = round * BURST + step
                    one.send(struct.pack("!I", number) + bytes(100 + number % 1000))
            for one in sockets:
                one.recv(64)
        print("sent", flush=True)
    """

  /// Sends `rounds` bursts in each of `flows` flows.
  ///
  /// - Returns: How many arrived, and how many were not the one after the last.
  static func run(
    from sender: TestNode,
    to receiver: TestNode,
    port: Int,
    flows: Int,
    rounds: Int
  ) async throws -> (count: Int, wrong: Int) {
    let rest = ["\(receiver.v4)", "\(port)", "\(flows)", "\(rounds)"]
    let listening = try receiver.host.launch(["python3", "-c", program, "receive"] + rest)
    _ = await listening.line()
    let sending = try sender.host.launch(["python3", "-c", program, "send"] + rest)
    let sent = await sending.output()
    let seen = await listening.output().split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    guard seen.count == 2, sent.contains("sent") else { return (seen.first ?? 0, -1) }
    return (seen[0], seen[1])
  }
}
