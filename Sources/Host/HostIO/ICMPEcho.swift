// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost

/// Times an ICMP echo, as `ping` does.
public enum ICMPEcho {
  /// How long the echo of an IPv4 address takes to come back.
  ///
  /// It waits on a thread of its own.
  ///
  /// - Parameters:
  ///   - address: Whom to ask.
  ///   - mark: The packet mark of our own traffic; 0 for none.
  ///   - timeout: How long to wait.
  /// - Returns: Nil when nothing comes back in time, or the system does not let us send.
  public static func latency(
    to address: IPAddress,
    mark: UInt32 = 0,
    timeout: Duration
  ) async -> Duration? {
    guard address.isV4 else { return nil }
    return await withCheckedContinuation { continuation in
      do throws(HostError) {
        _ = try DataThread(name: "martlet-echo") {
          var endpoint = chost_endpoint(Endpoint(address, port: 0))
          let (seconds, attoseconds) = timeout.components
          let milliseconds = Int32(
            clamping: seconds &* 1000 &+ attoseconds / 1_000_000_000_000_000
          )
          // SAFETY: the structure outlives the call.
          let result = unsafe chost_icmp_echo(&endpoint, mark, milliseconds)
          continuation.resume(returning: result < 0 ? nil : .nanoseconds(result))
        }
      } catch {
        continuation.resume(returning: nil)
      }
    }
  }
}
