// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc

/// One queue of a TUN interface, whose packets carry a 10-byte virtio header.
///
/// With it the host hands over and takes whole trains of one flow (up to 64 KB) whose checksums are
/// not yet computed. The interface goes away with its last queue. Owned by one thread; reading and
/// writing neither wait nor allocate.
///
/// - Source: Linux `Documentation/networking/tuntap.rst`; virtio 1.2 §5.1.6.
public struct TUNDevice: ~Copyable, Sendable {
  /// The length of the header before each packet, in bytes; its fields are in host byte order.
  public static let headerSize = 10
  /// The room that one read may need: the header and the largest packet.
  public static let readCapacity = headerSize + 65_535

  /// The offloads that the kernel accepted.
  public struct Features: OptionSet, Hashable, Sendable {
    /// The TUN_F_ bits.
    public let rawValue: UInt32
    /// A set from its bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Packets may come and go without checksums.
    public static let checksum = Features(rawValue: 0x01)
    /// Trains of TCP over IPv4.
    public static let tcp4 = Features(rawValue: 0x02)
    /// Trains of TCP over IPv6.
    public static let tcp6 = Features(rawValue: 0x04)
    /// Trains of TCP whose first segment tells that the sender reduced its window.
    public static let congestion = Features(rawValue: 0x08)
    /// Trains of UDP over IPv4 (Linux 6.2 and later).
    public static let udp4 = Features(rawValue: 0x20)
    /// Trains of UDP over IPv6 (Linux 6.2 and later).
    public static let udp6 = Features(rawValue: 0x40)
    /// All that this program can make use of.
    public static let all: Features = [.checksum, .tcp4, .tcp6, .congestion, .udp4, .udp6]
  }

  /// Which queue of its interface to open.
  public enum Queue: Sendable {
    /// The only one.
    case only
    /// The first of several: the interface is created, and must not exist yet.
    case firstOfSeveral
    /// One more of an interface whose first queue is open.
    case another
  }

  let descriptor: Descriptor
  /// The interface's name, as the kernel gave it.
  public let name: String
  /// The offloads that the kernel accepted.
  public let features: Features

  /// Opens a queue of the interface `name`, creating it when it does not exist.
  ///
  /// - Parameters:
  ///   - name: 1 to 15 bytes; may end in `%d`, for which the kernel puts a free number.
  ///   - queue: Which queue of the interface this is to be.
  ///   - wanted: The offloads to ask for; `features` tells what the kernel has of them.
  /// - Returns: The only owner of the queue.
  /// - Throws: `HostError` that says what is missing: the device, the privilege, a free name.
  public static func open(
    name: String,
    queue: Queue = .only,
    wanted: Features = .all
  ) throws(HostError) -> TUNDevice {
    guard isValidName(name) else {
      throw HostError(
        "open the TUN device \"\(name)\"",
        code: EINVAL,
        hint: "An interface name has 1 to 15 letters, digits, dashes, dots or underscores"
      )
    }
    let mode =
      switch queue {
      case .only: CHOST_TUN_SINGLE_QUEUE
      case .firstOfSeveral: CHOST_TUN_FIRST_QUEUE
      case .another: CHOST_TUN_NEXT_QUEUE
      }
    var text = name.utf8.map { CChar(bitPattern: $0) }
    text += Array(repeating: 0, count: Int(CHOST_NAME_SIZE) - text.count)
    var offloads = wanted.rawValue
    // SAFETY: the name has CHOST_NAME_SIZE bytes and ends in zero.
    let opened = unsafe chost_tun_open(&text, mode, &offloads)
    return TUNDevice(
      descriptor: Descriptor(
        owning: try check(opened, "open the TUN device \(name)", hint: hint(opened))
      ),
      name: String(
        decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
        as: UTF8.self
      ),
      features: Features(rawValue: offloads)
    )
  }

  /// The descriptor, for a `Poller`; stays owned by this device.
  public var rawDescriptor: Int32 { descriptor.rawValue }

  /// Whether `name` may name an interface, on any kernel and in any tool.
  public static func isValidName(_ name: String) -> Bool {
    let template = name.hasSuffix("%d") ? name.dropLast(2) : name[...]
    return (1...15).contains(name.utf8.count) && !template.isEmpty && name != "." && name != ".."
      && template.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
          UInt8(ascii: "."):
          true
        default: false
        }
      }
  }

  private static func hint(_ result: Int32) -> String {
    switch -result {
    case ENOENT, ENODEV: "There is no /dev/net/tun: load the module with modprobe tun"
    case EPERM, EACCES: "Run as root, or with the capability CAP_NET_ADMIN"
    case EBUSY: "Another program uses that interface; choose another with --tun"
    case EINVAL: "An interface of that name exists and is no TUN device; choose another with --tun"
    default: ""
    }
  }
}
