// SPDX-License-Identifier: Apache-2.0

import CMultiBuffer

/// The code that packets are sealed and opened with, chosen once when a program starts.
///
/// A plain value: the driver makes it, cores make their `PacketEngine` from it.
public struct PacketBackend: Sendable {
  /// Which code it is.
  public enum Name: String, Hashable, Sendable, CaseIterable {
    /// BoringSSL, on every machine.
    case boringSSL = "boringssl"
    /// Intel's Multi-Buffer library, where it is installed and the processor has AVX-512.
    case ipsecMB = "ipsec-mb"
  }

  /// Looks up the address of a symbol in the Multi-Buffer library; nil when it has no such symbol.
  ///
  /// The library stays loaded for as long as the process lives.
  public typealias Lookup = (String) -> UInt?

  /// The name under which the system knows the Multi-Buffer library.
  public static let libraryName = "libIPSec_MB.so.1"

  /// BoringSSL.
  public static let boringSSL = PacketBackend(name: .boringSSL, library: nil)

  /// Which code it is.
  public let name: Name
  private let library: Library?

  /// Functions of a library that stays loaded, which any thread may call.
  private struct Library: @unchecked Sendable {
    var table: cmb_library
  }

  private init(name: Name, library: Library?) { (self.name, self.library) = (name, library) }

  /// The backend of the Multi-Buffer library, whose symbols are asked for one by one.
  ///
  /// - Throws: Why it cannot be used here.
  public init(ipsecMB lookup: Lookup) throws(PacketBackendRefusal) {
    var table = cmb_library()
    try Self.resolve(&table, lookup)
    switch unsafe cmb_judge(&table) {
    case CMB_USABLE: break
    case CMB_PROCESSOR: throw .processor
    case CMB_UNKNOWN_VERSION: throw .version(Self.version(&table))
    case CMB_UNKNOWN_LAYOUT: throw .layout
    case CMB_LEAVES_SECRETS: throw .leavesSecrets
    default: throw .setup
    }
    self.init(name: .ipsecMB, library: Library(table: table))
  }

  private static func resolve(
    _ table: inout cmb_library,
    _ lookup: Lookup
  ) throws(PacketBackendRefusal) {
    for index in 0..<CMB_SYMBOLS {
      guard let name = unsafe cmb_symbol_name(index) else { continue }
      let text = unsafe String(cString: name)
      guard let address = lookup(text), address != 0 else { throw .symbol(text) }
      // SAFETY: the table is an array of as many pointers as there are symbols.
      unsafe withUnsafeMutableBytes(of: &table) { bytes in
        let offset = Int(index) * MemoryLayout<UInt>.size
        unsafe bytes.storeBytes(of: address, toByteOffset: offset, as: UInt.self)
      }
    }
  }

  private static func version(_ table: inout cmb_library) -> String {
    let number = unsafe cmb_version(&table)
    return "\(number >> 16).\(number >> 8 & 0xFF).\(number & 0xFF)"
  }

  /// What an engine works with beside BoringSSL; nil when that is all.
  func makeEngine() -> OpaquePointer? {
    guard let library else { return nil }
    var table = library.table
    return unsafe cmb_engine_new(&table)
  }
}

/// Why a backend is not used.
public enum PacketBackendRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// It is not installed, as the system says.
  case notInstalled(String)
  /// It lacks a symbol.
  case symbol(String)
  /// The processor lacks what it needs.
  case processor
  /// Its version is not one whose structures we know.
  case version(String)
  /// Its structures have other sizes than those of its version.
  case layout
  /// It was built without erasing secrets.
  case leavesSecrets
  /// It does not set itself up.
  case setup
  /// It gave a wrong answer.
  case selfTest(String)
  /// Something else was asked for.
  case notWanted

  /// One sentence without a full stop.
  public var description: String {
    switch self {
    case .notInstalled(let reason): "not installed (\(reason))"
    case .symbol(let name): "the library lacks \(name)"
    case .processor: "the processor lacks AVX-512 with IFMA"
    case .version(let version): "its version \(version) is not one that was verified (1.3.0)"
    case .layout: "its structures are not those of its version"
    case .leavesSecrets: "it was built without erasing secrets"
    case .setup: "it does not set itself up"
    case .selfTest(let what): "wrong answer in the self-test: \(what)"
    case .notWanted: "not asked for"
    }
  }
}
