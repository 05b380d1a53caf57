// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation

/// Bytes that the host of one node sends to that of another over TCP.
enum Transfer {
  /// What the receiver saw.
  struct Receipt: Hashable {
    var count: Int
    var isIntact: Bool
  }

  private static let program = """
    import hashlib, os, socket, sys, time
    role, address, port, count, pause, end = sys.argv[1:7]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    port, count, pause = int(port), int(count), float(pause)
    block = bytes(range(256)) * 64
    socket.setdefaulttimeout(50)
    if role == "receive":
        listener = socket.create_server((address, port), family=family)
        print("listening", flush=True)
        stream, _ = listener.accept()
        stream.settimeout(50)
        seen, digest = 0, hashlib.sha256()
        while data := stream.recv(65536):
            seen += len(data)
            digest.update(data)
        print(seen, digest.hexdigest(), flush=True)
    else:
        stream = socket.create_connection((address, port), timeout=60)
        digest = hashlib.sha256()
        for _ in range(count // len(block)):
            if end and os.path.exists(end): break
            stream.sendall(block)
            digest.update(block)
            if pause: time.sleep(pause)
        stream.close()
        print(digest.hexdigest(), flush=True)
    """

  /// Sends `count` bytes, a multiple of 16,384, pausing so many seconds after each 16,384.
  ///
  /// With an `end` it stops before that once it is told to.
  static func run(
    from sender: NamespaceHost,
    to receiver: NamespaceHost,
    at address: IPAddress,
    count: Int,
    pause: Double = 0,
    until end: End? = nil
  ) async throws -> Receipt {
    let rest = ["\(address)", "5001", "\(count)", "\(pause)", end?.path ?? ""]
    let listening = try receiver.launch(["python3", "-c", program, "receive"] + rest)
    _ = await listening.line()
    let sending = try sender.launch(["python3", "-c", program, "send"] + rest)
    let sent = await sending.output().trimmingCharacters(in: .whitespacesAndNewlines)
    let seen = await listening.output().split(whereSeparator: \.isWhitespace)
    guard seen.count == 2 else { return Receipt(count: 0, isIntact: false) }
    return Receipt(count: Int(seen[0]) ?? 0, isIntact: seen[1] == sent)
  }

  /// Tells a transfer that goes on meanwhile to end.
  final class End: Sendable {
    fileprivate let path =
      FileManager.default.temporaryDirectory.path + "/martlet-transfer-\(UUID().uuidString)"

    /// Tells it.
    func tell() throws { try Data().write(to: URL(fileURLWithPath: path)) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  /// More than a transfer that is told to end gets to: five minutes of it, at a pause of 0.02.
  static let endless = 15_000 * 16_384
}
