// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Known answers that a backend must give before a packet is entrusted to it.
///
/// One train of packets of all sorts of lengths is sealed, compared, opened, and opened again with one
/// packet forged. The answers are those of OpenSSL and libsodium.
public enum PacketSelfTest {
  /// One packet: its length, its counter, its tag and the last bytes sealed.
  private struct Answer {
    let count: Int
    let counter: UInt64
    let tag: String
    let end: String

    init(_ count: Int, _ counter: UInt64, _ tag: String, _ end: String) {
      (self.count, self.counter, self.tag, self.end) = (count, counter, tag, end)
    }
  }

  private static let answers: [Answer] = [
    .init(0, 0x0000_0000_0000_0000, "c8baeaf3d2fe51bd0a14bfe75e1fe68e", ""),
    .init(1, 0x0204_0608_0A0C_0E10, "16afd3c9fb35f7c12175f5e7459852ac", "53"),
    .init(15, 0x0000_0000_0000_0002, "37d71a02784be0bfee981e532b8c9921", "eab70c3f0e888b40"),
    .init(16, 0x0408_0C10_1418_1C20, "5b7f393bc46b82efbe7b2601f7060aa3", "37a24df237a84cc3"),
    .init(63, 0x0000_0000_0000_0004, "346a94bb3b99fff903accac0b28f87b4", "3ef274e777b9903c"),
    .init(64, 0x060C_1218_1E24_2A30, "0a7d980d9b3c10515533859140deb1ca", "88ff45114e69469c"),
    .init(65, 0x0000_0000_0000_0006, "b903abc6c96b6377d2883eef8f3a12d0", "aa394ed1b726c744"),
    .init(192, 0x0810_1820_2830_3840, "928f65ae911c1359aee511e03fb4a0bd", "e97158bb93c69dae"),
    .init(255, 0x0000_0000_0000_0008, "10c1d7ef128735ee89117800b9d935bd", "1abef3d4351dc759"),
    .init(256, 0x0A14_1E28_323C_4650, "950cca9127c098d32ee5767b0cff41f7", "5a5a8a691e9d8b8c"),
    .init(511, 0x0000_0000_0000_000A, "64e32d1dd5b966254b4064c04f0666a3", "ee041d9fba19b91e"),
    .init(576, 0x0C18_2430_3C48_5460, "8ecf845bca0c27454f0f313fe8fcec2e", "8573cd920c0820cc"),
    .init(1023, 0x0000_0000_0000_000C, "7b47e317654b5c5c6a29b13a0647eb51", "d89550779c8d8ebf"),
    .init(1024, 0x0E1C_2A38_4654_6270, "c24e0d5a8b17c136dd637009ae1f877d", "28703cd1e53788ef"),
    .init(1025, 0x0000_0000_0000_000E, "d743881bd8eb3a6beb4cf29e7b5b48b3", "ab4828d3418f7e19"),
    .init(1280, 0x1020_3040_5060_7080, "d8e016fb6e30a3a05943ad36ce37ab63", "e4775a8df4b2d32f"),
    .init(1296, 0x0000_0000_0000_0010, "c212405f6c185f5b71bf5b1c4537f57f", "73b6b2cac50252cd"),
    .init(1420, 0x1224_3648_5A6C_7E90, "dce1acbb6924cc2ee8bc8d725167113f", "6110d2b5e52ce202"),
    .init(4096, 0x0000_0000_0000_0012, "f4ed696fe6d87c4cd4fd92885b873cbb", "3e44aa08d6d7e1e4"),
    .init(9000, 0x1428_3C50_6478_8CA0, "a07ee063039ad5649b9460f9413f6fb6", "df1cd17065232358"),
  ]

  /// What `backend` got wrong; nil when every answer is right.
  public static func failure(of backend: PacketBackend) -> String? {
    var engine = PacketEngine(backend)
    guard engine.backend == backend.name else { return "it does not set itself up twice" }
    let cipher = PacketCipher(key: (0..<32).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) })
    var memory = answers.map { Self.plaintext($0) + [UInt8](repeating: 0xEE, count: 16) }
    Self.withTrain(&memory, tagged: false) { engine.seal($0, with: cipher) }
    for (answer, sealed) in zip(answers, memory) {
      let end = sealed.dropLast(16).suffix(8)
      if Hex.encode(sealed.suffix(16)) != answer.tag || Hex.encode(end) != answer.end {
        return "sealing \(answer.count) bytes"
      }
    }
    for forged in [nil] + answers.indices.map(Optional.some) {
      var copy = memory
      if let forged { copy[forged][copy[forged].count / 2] ^= 0x10 }
      let authentic = Self.withTrain(&copy, tagged: true) { train in
        engine.open(&train, with: cipher)
        return (0..<train.count).map { train.isAuthentic($0) }
      }
      for index in answers.indices {
        let isRight =
          authentic[index]
          ? copy[index].dropLast(16).elementsEqual(Self.plaintext(answers[index]))
          : copy[index].allSatisfy { $0 == 0 }
        guard authentic[index] == (index != forged), isRight else {
          return "opening \(answers[index].count) bytes"
        }
      }
    }
    return engine.backend == backend.name ? nil : "it gave up"
  }

  private static func plaintext(_ answer: Answer) -> [UInt8] {
    (0..<answer.count).map { UInt8(truncatingIfNeeded: $0 * 7 + answer.count) }
  }

  /// Puts the packets behind each other for as long as `body` works on them.
  private static func withTrain<Value>(
    _ packets: inout [[UInt8]],
    tagged: Bool,
    _ body: (inout PacketTrain) -> Value
  ) -> Value {
    var train = PacketTrain()
    let total = packets.reduce(0) { $0 + $1.count }
    // SAFETY: every packet lies in the allocation, which outlives the train's use.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: total, alignment: 64)
    defer { unsafe memory.deallocate() }
    var offset = 0
    for (packet, answer) in zip(packets, answers) {
      let place = unsafe UnsafeMutableRawBufferPointer(
        rebasing: memory[offset..<offset + packet.count]
      )
      unsafe place.copyBytes(from: packet)
      if let base = place.baseAddress {
        let size = tagged ? packet.count : packet.count - 16
        unsafe train.append(base, count: size, counter: answer.counter)
      }
      offset += packet.count
    }
    let value = body(&train)
    offset = 0
    for index in packets.indices {
      let end = offset + packets[index].count
      packets[index] = unsafe Array(memory[offset..<end])
      offset = end
    }
    return value
  }
}
