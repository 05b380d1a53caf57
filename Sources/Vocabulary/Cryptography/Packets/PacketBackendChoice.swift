// SPDX-License-Identifier: Apache-2.0

/// Which backend seals packets in this process, and why not another.
public struct PacketBackendChoice: Sendable {
  /// What became of one backend.
  public struct Finding: Hashable, Sendable {
    /// Which one.
    public let name: PacketBackend.Name
    /// Why it cannot be used or was not asked for; nil when it could be.
    public let refusal: PacketBackendRefusal?
  }

  /// The one that is used.
  public let backend: PacketBackend
  /// All of them, the fastest first.
  public let findings: [Finding]

  /// Takes the fastest backend that can be used here and passes its self-test.
  ///
  /// - Parameters:
  ///   - wanted: The only one to consider; BoringSSL takes its place when it cannot be used.
  ///   - library: Opens the Multi-Buffer library, or tells why the system does not.
  /// - Throws: What BoringSSL got wrong, without which nothing works.
  public init(
    wanting wanted: PacketBackend.Name? = nil,
    opening library: () -> Result<PacketBackend.Lookup, PacketBackendRefusal>
  ) throws(PacketBackendRefusal) {
    if let failure = PacketSelfTest.failure(of: .boringSSL) { throw .selfTest(failure) }
    var backend = PacketBackend.boringSSL
    var refusal: PacketBackendRefusal?
    do throws(PacketBackendRefusal) {
      guard wanted != .boringSSL else { throw .notWanted }
      backend = try Self.multiBuffer(library())
    } catch { refusal = error }
    self.backend = backend
    findings = [
      Finding(name: .ipsecMB, refusal: refusal), Finding(name: .boringSSL, refusal: nil),
    ]
  }

  private static func multiBuffer(
    _ library: Result<PacketBackend.Lookup, PacketBackendRefusal>
  ) throws(PacketBackendRefusal) -> PacketBackend {
    let backend = try PacketBackend(ipsecMB: try library.get())
    if let failure = PacketSelfTest.failure(of: backend) { throw .selfTest(failure) }
    return backend
  }

  /// Why the fastest backend is not the one that is used; nil when it is.
  public var shortcoming: Finding? { findings.first { $0.refusal != nil } }
}
