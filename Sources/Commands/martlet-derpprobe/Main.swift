// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import DERP
import RelayProbe
import Timing

/// Watches relays: whether they answer, whether they are who they should be, and whether packets
/// cross them.
@main
struct MartletDERPProbe: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-derpprobe",
    abstract: "Watches relays: STUN, TLS, packets from each to each of a region, and bandwidth.",
    discussion: """
      The relays stand in a relay map, the JSON that coordination servers give to nodes; name a file \
      or an http:// or https:// address. It is read again before every round.

      Without --once the rounds go on, and a page at --listen tells what they found: / for people, \
      /json and /metrics for programs, /healthz with 503 where something is wrong.

      Exit codes: 0 all is well or stopped, 1 something is wrong, 2 not understood, 3 wrong map.
      """,
    version: Version.long
  )

  @Option(help: ArgumentHelp("The relay map.", valueName: "file or URL"))
  var derpMap: String
  @Option(help: .yesNo("Probe once, print what was found, and end.")) var once: Bool?
  @Option(help: ArgumentHelp("The code of the only region to probe.", valueName: "code"))
  var regionCode: String?
  @Option(
    help: ArgumentHelp(
      "The time between two rounds, where no other flag says better (15s).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var interval = Duration.seconds(15)
  @Option(
    help: ArgumentHelp("The time between rounds of STUN; 0s for none.", valueName: "duration"),
    transform: settingValue
  )
  var stunInterval: Duration?
  @Option(
    help: ArgumentHelp("The time between rounds of TLS; 0s for none.", valueName: "duration"),
    transform: settingValue
  )
  var tlsInterval: Duration?
  @Option(
    help: ArgumentHelp(
      "The time between rounds of packets from each relay of a region to each; 0s for none.",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var meshInterval: Duration?
  @Option(
    help: ArgumentHelp(
      "The time between rounds that measure bandwidth, one pair after the other (0s, none).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var bwInterval = Duration.zero
  @Option(
    help: ArgumentHelp(
      "How many bytes cross to measure bandwidth (1000000).",
      valueName: "bytes"
    )
  )
  var bwProbeSizeBytes = 1_000_000
  @Option(
    help: ArgumentHelp(
      "The file with the secret of the mesh, which relays admit that ask for their clients.",
      valueName: "file"
    )
  )
  var meshPskFile: String?
  @Option(
    help: ArgumentHelp("Where the status page is (127.0.0.1:8030).", valueName: "address:port")
  )
  var listen = "127.0.0.1:8030"

  static let style = FlagStyle(of: MartletDERPProbe.self)

  static func main() async { await Program.main(MartletDERPProbe.self, style: style) }

  private static let maximumBytes = 1_000_000_000
  private static let maximumSecretFile = 4096

  func run() async throws {
    let intervals = try intervals()
    let watch = Watch(
      map: derpMap,
      region: regionCode,
      prober: Prober(bandwidthBytes: bwProbeSizeBytes, meshKey: try meshKey())
    )
    guard once != true else {
      let board = try await watch.once(Set(intervals.keys))
      output.print(String(board.text.dropLast()))
      guard board.isGood else { throw CommandError("something is wrong with the relays") }
      return
    }
    guard let endpoint = Endpoint(listen) else {
      throw CommandError.usage("--listen has to be an address and port, not '\(listen)'")
    }
    try await watch.run(intervals, page: endpoint, environment)
  }

  /// How often each kind of probe is made; those that are not made are left out.
  private func intervals() throws(CommandError) -> [RelayProbe.Kind: Duration] {
    let all: [RelayProbe.Kind: Duration] = [
      .stun: stunInterval ?? interval, .tls: tlsInterval ?? interval,
      .mesh: meshInterval ?? interval, .bandwidth: bwInterval,
    ]
    guard interval > .zero, all.values.allSatisfy({ $0 >= .zero }) else {
      throw .usage("--interval has to be more than 0s, and no other interval less")
    }
    guard (1...Self.maximumBytes).contains(bwProbeSizeBytes) else {
      throw .usage("--bw-probe-size-bytes has to be from 1 to \(Self.maximumBytes)")
    }
    let wanted = all.filter { $0.value > .zero }
    guard !wanted.isEmpty else { throw .usage("every interval is 0s: there is nothing to do") }
    return wanted
  }

  private func meshKey() throws(CommandError) -> MeshKey? {
    guard let meshPskFile else { return nil }
    guard let bytes = try SmallFile.read(meshPskFile, upTo: Self.maximumSecretFile) else {
      throw CommandError("there is no file \(meshPskFile)", code: .configuration)
    }
    let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard text.count == 1, let key = MeshKey(text[0]) else {
      throw CommandError(
        "\(meshPskFile) holds no secret of a mesh: it takes 64 hex digits, not all zero",
        code: .configuration
      )
    }
    return key
  }
}
