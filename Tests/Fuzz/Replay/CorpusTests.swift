// SPDX-License-Identifier: Apache-2.0

import Bytes
import Foundation
import PacketPipeline
import Testing

@Suite("Committed corpora")
struct CorpusTests {
  private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../Fixtures").standardized

  /// The files of a target: its own corpus and what else begins it; `.hex` files spell their bytes.
  static func inputs(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    try (["Corpora/" + target.name] + target.seeds).flatMap { folder in
      let folder = fixtures.appending(path: folder)
      guard FileManager.default.fileExists(atPath: folder.path) else {
        return [(name: String, bytes: [UInt8])]()
      }
      return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
        let bytes = Array(try Data(contentsOf: folder.appending(path: name)))
        guard name.hasSuffix(".hex") else { return (name, bytes) }
        let text = String(decoding: bytes, as: UTF8.self)
        return (name, try #require(Hex.decode(text.filter { !$0.isWhitespace }), "\(name)"))
      }
    }
  }

  @Test(
    "Every parser has seeds, and takes each whole and cut off anywhere",
    arguments: FuzzTarget.all
  )
  func replay(target: FuzzTarget) throws {
    let inputs = try Self.inputs(of: target)
    #expect(!inputs.isEmpty)
    for input in inputs {
      target.run(input.bytes)
      // Large samples are cut in steps, so that it stays a matter of seconds.
      let step = max(1, input.bytes.count / target.cuts)
      for count in stride(from: 0, to: input.bytes.count, by: step) {
        target.run(Array(input.bytes.prefix(count)))
      }
    }
  }

  @Test("The corpus of the pipeline reaches cutting, joining, and every reason to drop a packet")
  func reachOfPipeline() throws {
    let target = try #require(FuzzTarget.named("Pipeline"))
    var reached = PipelineReach()
    for input in try Self.inputs(of: target) {
      let one = PipelineWorld.run(input.bytes)
      reached.joined += one.joined
      reached.cut += one.cut
      reached.inbound.formUnion(one.inbound)
      reached.outbound.formUnion(one.outbound)
    }
    #expect(reached.joined > 20 && reached.cut > 20)
    // Only a relay carries packets of strangers, only routers mark packets as congested, and what is
    // no datagram at all does not arrive.
    let elsewhere: Set<Counters.InboundDrop> = [.unknownPeer, .congested, .noise]
    let inbound = Set(Counters.InboundDrop.allCases).subtracting(elsewhere).subtracting(
      reached.inbound
    )
    #expect(inbound.isEmpty)
    // The peer has an endpoint and no such addresses, and a script's messages are shorter.
    let beyond: Set<Counters.OutboundDrop> = [.noPath, .multicast, .linkLocal, .tooLarge]
    let outbound = Set(Counters.OutboundDrop.allCases).subtracting(beyond).subtracting(
      reached.outbound
    )
    #expect(outbound.isEmpty)
  }

  @Test("No two targets share a name")
  func names() {
    #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
  }

  #if !CORES_ONLY
  @Test("Every folder of the corpora belongs to a target")
  func folders() throws {
    let known = Set(FuzzTarget.all.flatMap { ["Corpora/" + $0.name] + $0.seeds })
    let folders = try FileManager.default.contentsOfDirectory(
      atPath: Self.fixtures.appending(path: "Corpora").path
    )
    for folder in folders { #expect(known.contains("Corpora/" + folder)) }
  }
  #endif
}
