// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Synchronization
import Testing

/// A library that is as wrong as a test wants it to be.
private enum FakeLibrary {
  static let version: @convention(c) () -> UInt32 = { 0x10300 }
  static let futureVersion: @convention(c) () -> UInt32 = { 0x20001 }
  static let size: @convention(c) () -> Int = { 200_744 }
  static let otherSize: @convention(c) () -> Int = { 200_808 }
  static let none: @convention(c) (UInt64) -> UnsafeMutableRawPointer? = { _ in nil }
  static let allocate: @convention(c) (UInt64) -> UnsafeMutableRawPointer? = { _ in
    let manager = UnsafeMutableRawPointer.allocate(byteCount: 200_744, alignment: 64)
    unsafe manager.initializeMemory(as: UInt8.self, repeating: 0, count: 200_744)
    return unsafe manager
  }
  static let free: @convention(c) (UnsafeMutableRawPointer?) -> Void = { unsafe $0?.deallocate() }

  /// Sets up a manager that has features and functions, which seal nothing.
  static let setUp: @convention(c) (UnsafeMutableRawPointer) -> Void = { manager in
    unsafe manager.storeBytes(of: 0x37_FFFF, toByteOffset: 8, as: UInt64.self)
    unsafe manager.storeBytes(of: nextBurst, toByteOffset: 952, as: Burst.self)
    unsafe manager.storeBytes(of: submit, toByteOffset: 968, as: Burst.self)
  }
  static let setUpGivingUp: @convention(c) (UnsafeMutableRawPointer) -> Void = { manager in
    unsafe setUp(manager)
    unsafe manager.storeBytes(of: giveUp, toByteOffset: 968, as: Burst.self)
  }
  static let setUpLeaky: @convention(c) (UnsafeMutableRawPointer) -> Void = { manager in
    unsafe setUp(manager)
    unsafe manager.storeBytes(of: 0x37_BFFF, toByteOffset: 8, as: UInt64.self)
  }
  static let setUpFailing: @convention(c) (UnsafeMutableRawPointer) -> Void = { manager in
    unsafe setUp(manager)
    unsafe manager.storeBytes(of: 2001, toByteOffset: 60, as: Int32.self)
  }
  static let setUpUntested: @convention(c) (UnsafeMutableRawPointer) -> Void = { manager in
    unsafe setUp(manager)
    unsafe manager.storeBytes(of: 0x17_FFFF, toByteOffset: 8, as: UInt64.self)
  }

  typealias Burst =
    @convention(c) (
      UnsafeMutableRawPointer, UInt32, UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> UInt32
  static let nextBurst: Burst = { manager, count, jobs in
    for index in 0..<Int(count) { unsafe jobs[index] = manager + 1024 + index * 200 }
    return count
  }
  static let submit: Burst = { _, count, jobs in
    for index in 0..<Int(count) {
      unsafe jobs[index]?.storeBytes(of: 3, toByteOffset: 128, as: UInt32.self)
    }
    return count
  }
  static let giveUp: Burst = { _, _, _ in 0 }

  static func address<Function>(_ function: Function) -> UInt {
    unsafe unsafeBitCast(function, to: UInt.self)
  }

  static var wrong: [String: UInt] {
    [
      "imb_get_version": address(version), "imb_get_mb_mgr_size": address(size),
      "alloc_mb_mgr": unsafe address(allocate), "free_mb_mgr": unsafe address(free),
      "init_mb_mgr_avx512": unsafe address(setUp),
    ]
  }
}

@Suite("The choice of a backend")
struct PacketBackendTests {
  private static func choice(
    _ change: (inout [String: UInt]) -> Void
  ) throws -> (PacketBackend.Name, PacketBackendRefusal?) {
    var symbols = FakeLibrary.wrong
    change(&symbols)
    let choice = try PacketBackendChoice { .success { symbols[$0] } }
    return (choice.backend.name, choice.findings[0].refusal)
  }

  /// Whether a library could be used here at all: then its other faults come to light.
  private static var isProcessorFit: Bool {
    var reasons: [PacketBackendRefusal] = []
    do { _ = try choice { _ in } } catch { return false }
    if let refusal = try? choice({ _ in }).1 { reasons.append(refusal) }
    return !reasons.contains(.processor)
  }

  @Test("BoringSSL is used where the library is missing or lacks a symbol, and the reason is kept")
  func missing() throws {
    let none = try PacketBackendChoice { .failure(.notInstalled("no such file")) }
    #expect(none.backend.name == .boringSSL)
    #expect(none.shortcoming?.refusal == .notInstalled("no such file"))
    #expect(none.findings.map(\.name) == [.ipsecMB, .boringSSL])
    for name in FakeLibrary.wrong.keys {
      let (chosen, refusal) = try Self.choice { $0[name] = nil }
      #expect(chosen == .boringSSL)
      #expect(refusal == .symbol(name))
    }
  }

  @Test("BoringSSL can be asked for, and then nothing else is opened")
  func asked() throws {
    var isOpened = false
    let choice = try PacketBackendChoice(wanting: .boringSSL) {
      isOpened = true
      return .failure(.setup)
    }
    #expect(!isOpened)
    #expect(choice.backend.name == .boringSSL)
    #expect(choice.shortcoming?.refusal == .notWanted)
  }

  @Test(
    "A version that was not verified, another layout, a set-up that fails: none is used",
    .enabled(if: isProcessorFit, "the processor has no AVX-512 with IFMA")
  )
  func refusals() throws {
    let cases: [(PacketBackendRefusal, (inout [String: UInt]) -> Void)] = [
      (
        .version("2.0.1"),
        { $0["imb_get_version"] = FakeLibrary.address(FakeLibrary.futureVersion) }
      ),
      (.layout, { $0["imb_get_mb_mgr_size"] = FakeLibrary.address(FakeLibrary.otherSize) }),
      (.setup, { $0["alloc_mb_mgr"] = unsafe FakeLibrary.address(FakeLibrary.none) }),
      (.setup, { $0["init_mb_mgr_avx512"] = unsafe FakeLibrary.address(FakeLibrary.setUpFailing) }),
      (
        .setup, { $0["init_mb_mgr_avx512"] = unsafe FakeLibrary.address(FakeLibrary.setUpUntested) }
      ),
      (
        .leavesSecrets,
        { $0["init_mb_mgr_avx512"] = unsafe FakeLibrary.address(FakeLibrary.setUpLeaky) }
      ),
    ]
    for (expected, change) in cases {
      let (chosen, refusal) = try Self.choice(change)
      #expect(chosen == .boringSSL)
      #expect(refusal == expected)
    }
  }

  @Test(
    "A library that answers wrongly or gives up fails the self-test",
    .enabled(if: isProcessorFit, "the processor has no AVX-512 with IFMA")
  )
  func wrongAnswers() throws {
    let (chosen, refusal) = try Self.choice { _ in }
    #expect(chosen == .boringSSL)
    #expect(refusal == .selfTest("sealing 0 bytes"))
    let (other, gaveUp) = try Self.choice {
      $0["init_mb_mgr_avx512"] = unsafe FakeLibrary.address(FakeLibrary.setUpGivingUp)
    }
    #expect(other == .boringSSL)
    #expect(gaveUp == .selfTest("sealing 0 bytes"))
  }

  @Test(
    "An engine whose library gives up sends no plaintext, and goes on with BoringSSL",
    .enabled(if: isProcessorFit, "the processor has no AVX-512 with IFMA")
  )
  func givingUp() throws {
    var symbols = FakeLibrary.wrong
    symbols["init_mb_mgr_avx512"] = unsafe FakeLibrary.address(FakeLibrary.setUpGivingUp)
    let backend = try PacketBackend(ipsecMB: { symbols[$0] })
    var engine = PacketEngine(backend)
    let cipher = PacketCipher(key: [UInt8](repeating: 1, count: 32))
    let packets = [[UInt8](repeating: 7, count: 100), [UInt8](repeating: 8, count: 50)]
    let memory = PacketMemory(packets, roomForTag: true)
    memory.work(counters: [0, 1], trainLength: 2) { train, _ in engine.seal(train, with: cipher) }
    #expect(memory.packet(0, tagged: true).allSatisfy { $0 == 0 })
    #expect(memory.packet(1, tagged: true).allSatisfy { $0 == 0 })
    #expect(engine.backend == .boringSSL)
    let next = PacketMemory(packets, roomForTag: true)
    next.work(counters: [2, 3], trainLength: 2) { train, _ in engine.seal(train, with: cipher) }
    let nonce: [UInt8] = [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    #expect(
      next.packet(0, tagged: true)
        == ChaCha20Poly1305.seal(packets[0], key: [UInt8](repeating: 1, count: 32), nonce: nonce)
    )
  }
}
