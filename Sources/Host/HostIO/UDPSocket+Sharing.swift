// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import CHost

extension UDPSocket {
  /// One instruction of a classic packet filter, as the kernel runs them on a datagram's payload.
  ///
  /// - Source: Linux `Documentation/networking/filter.rst`.
  public struct Instruction: Hashable, Sendable {
    var code: UInt16
    var jumpTrue: UInt8 = 0
    var jumpFalse: UInt8 = 0
    var operand: UInt32

    /// Loads the 32-bit big-endian word at an offset; the program ends with 0 beyond the end.
    public static func loadWord(at offset: UInt32) -> Instruction {
      Instruction(code: 0x20, operand: offset)
    }
    /// Loads the byte at an offset; the program ends with 0 beyond the end.
    public static func loadByte(at offset: UInt32) -> Instruction {
      Instruction(code: 0x30, operand: offset)
    }
    /// Keeps those bits of what was loaded.
    public static func and(_ mask: UInt32) -> Instruction {
      Instruction(code: 0x54, operand: mask)
    }
    /// Skips so many instructions when what was loaded equals a value, or when it does not.
    public static func skip(
      ifEqual value: UInt32,
      _ equal: UInt8 = 0,
      otherwise: UInt8 = 0
    ) -> Instruction {
      Instruction(code: 0x15, jumpTrue: equal, jumpFalse: otherwise, operand: value)
    }
    /// Skips so many instructions when what was loaded is at least a value.
    public static func skip(ifAtLeast value: UInt32, _ count: UInt8) -> Instruction {
      Instruction(code: 0x35, jumpTrue: count, operand: value)
    }
    /// Skips so many instructions.
    public static func skip(_ count: UInt32) -> Instruction {
      Instruction(code: 0x05, operand: count)
    }
    /// Ends with a value.
    public static func end(with value: UInt32) -> Instruction {
      Instruction(code: 0x06, operand: value)
    }
    /// Ends with what was loaded.
    public static var end: Instruction { Instruction(code: 0x16, operand: 0) }
  }

  /// The most instructions that a program may have.
  public static let maximumInstructions = Int(CHOST_PROGRAM_MAXIMUM)

  /// Lets sockets that are bound later with `joins` share this one's port.
  ///
  /// To everybody else the port stays taken, if this socket was bound without `joins` itself.
  public func share() throws(HostError) {
    try check(chost_udp_share(descriptor.rawValue), "share UDP port \(localEndpoint.port)")
  }

  /// Chooses which of the sockets that share this one's port gets a datagram.
  ///
  /// The program ends with the place of the socket in the order in which they were bound; beyond the
  /// last the kernel chooses by the addresses and ports, as it does without a program.
  public func steer(by program: [Instruction]) throws(HostError) {
    let instructions = program.map {
      chost_instruction(
        code: $0.code,
        jump_true: $0.jumpTrue,
        jump_false: $0.jumpFalse,
        operand: $0.operand
      )
    }
    // SAFETY: the kernel copies as many instructions as the array has.
    let result = unsafe chost_udp_steer(
      descriptor.rawValue,
      instructions,
      UInt32(instructions.count)
    )
    try check(result, "steer the datagrams of UDP port \(localEndpoint.port)")
  }
}
