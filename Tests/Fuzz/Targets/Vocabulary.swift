// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Compression
import JSON
import Keys
import Timing

extension FuzzTarget {
  static let vocabulary = [
    FuzzTarget("JSON", seeds: ["Samples", "Goldens/LocalAPI"]) { bytes in
      var reader = JSONReader(bytes)
      // Whether it is well formed is compared with whether it can be read.
      let isWellFormed = (try? reader.skip()) != nil && (try? reader.end()) != nil
      let value = try JSONValue(parsing: bytes)
      claim(isWellFormed, "what was read could not be skipped")
      let written = value.json
      claim(try JSONValue(parsing: written).json == written, "what was written reads otherwise")
      claim((try? JSONValue(parsing: value.text(indentation: "\t"))) != nil, "indented is refused")
    },
    FuzzTarget("Keys") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      checkText(NodeKey.self, text)
      checkText(MachineKey.self, text)
      checkText(DiscoKey.self, text)
      checkText(ChallengeKey.self, text)
      checkText(TailnetLockKey.self, text)
      for secret in [
        NodePrivateKey(text)?.description, MachinePrivateKey(text)?.description,
        DiscoPrivateKey(text)?.description, TailnetLockPrivateKey(text)?.description,
      ] {
        claim(secret?.contains("[redacted]") ?? true, "a private key tells itself")
      }
    },
    FuzzTarget("Addresses") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      checkText(IPAddress.self, text)
      checkText(IPPrefix.self, text)
      checkText(Endpoint.self, text)
      var reader = ByteReader(bytes)
      let endpoint = try Endpoint(reading: &reader)
      claim(Endpoint(endpoint.description) == endpoint, "an endpoint is not what it says")
    },
    FuzzTarget("Times") { bytes in
      guard let time = Timestamp(String(decoding: bytes, as: UTF8.self)) else { return }
      claim(Timestamp(time.description) == time, "a time is not what it says: \(time)")
      _ = time - Timestamp(seconds: 1_800_000_000)
      _ = time + .seconds(86_400)
    },
    FuzzTarget("Encodings") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      if let decoded = Hex.decode(text) {
        claim(Hex.encode(decoded) == text.lowercased(), "hex of another kind")
      }
      if let decoded = Base64.decode(text) {
        claim(Base64.decode(Base64.encode(decoded)) == decoded, "base64 of another kind")
      }
    },
    FuzzTarget("Zstandard") { bytes in
      let content = try Zstandard.decompress(bytes, limit: 1 << 16)
      claim(content.count <= 1 << 16, "more than the limit came out")
    },
  ]
}
