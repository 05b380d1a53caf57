// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import DERP
import HTTPTransport
import HostIO
import JSON
import Logging
import NodeConfiguration
import RelayProbe
import Timing

/// Rounds of probes, once or for ever.
struct Watch {
  let map: String
  let region: String?
  let prober: Prober
  private let board = ProbeBoard()

  private static let maximumMapBytes = 4 << 20
  private static let mapTimeout = Duration.seconds(10)

  init(map: String, region: String?, prober: Prober) {
    (self.map, self.region, self.prober) = (map, region, prober)
  }

  /// One round of each kind, and what it found.
  func once(_ kinds: Set<RelayProbe.Kind>) async throws -> ProbeBoard {
    let map = try await readMap()
    for kind in RelayProbe.Kind.allCases where kinds.contains(kind) { await probe(kind, map) }
    guard !board.all.isEmpty else {
      throw CommandError("the relay map has nothing to probe", code: .configuration)
    }
    return board
  }

  /// Rounds of each kind, and the page that tells of them, until the process is asked to end.
  func run(
    _ intervals: [RelayProbe.Kind: Duration],
    page endpoint: Endpoint,
    _ environment: [String: String]
  ) async throws {
    LogSetup.bootstrap(level: .info, environment: environment)
    let logger = Logger(label: "derpprobe")
    let server: HTTPServer
    do {
      server = try await HTTPServer.start(on: [.tcp(endpoint)]) { [board] request in
        StatusPage.answer(request, board)
      }
    } catch let error as HTTPTransportError {
      throw CommandError(error.what, code: error.reason == .inUse ? .alreadyRunning : .failure)
    }
    let page = server.endpoints.first.map { "http://\($0)" } ?? "\(endpoint)"
    logger.notice("probing", metadata: ["map": "\(map)", "page": "\(page)"])
    let rounds = Task {
      await withTaskGroup { group in
        for (kind, interval) in intervals {
          group.addTask { await keepProbing(kind, every: interval, logger) }
        }
      }
    }
    _ = await Termination.wait()
    rounds.cancel()
    await server.shutdown()
  }

  private func keepProbing(
    _ kind: RelayProbe.Kind,
    every interval: Duration,
    _ logger: Logger
  ) async {
    while !Task.isCancelled {
      do {
        let map = try await readMap()
        board.note(mapProblem: nil)
        await probe(kind, map)
      } catch {
        let reason = (error as? CommandError)?.message ?? "\(error)"
        board.note(mapProblem: reason)
        logger.error("cannot use the relay map", metadata: ["reason": "\(reason)"])
      }
      // Cancellation ends the sleep, and the loop with it.
      try? await Task.sleep(for: interval)
    }
  }

  /// One round: all at once, but for those that would disturb each other's measurement.
  private func probe(_ kind: RelayProbe.Kind, _ map: RelayMap) async {
    let probes = RelayProbe.all(in: map, [kind], region: region)
    board.keep(probes, of: kind)
    guard kind != .bandwidth else {
      for probe in probes {
        let outcome = await prober.run(probe)
        board.note(outcome, of: probe, at: wallClock())
      }
      return
    }
    await withTaskGroup(of: Void.self) { group in
      for (index, probe) in probes.enumerated() {
        if index >= Prober.maximumAtOnce { _ = await group.next() }
        group.addTask {
          let outcome = await prober.run(probe)
          board.note(outcome, of: probe, at: wallClock())
        }
      }
    }
  }

  private func readMap() async throws -> RelayMap {
    let bytes: [UInt8]
    if map.hasPrefix("http://") || map.hasPrefix("https://") {
      do {
        let response = try await HTTPClient(timeout: Self.mapTimeout).request(url: map)
        guard response.status == 200 else {
          throw CommandError("the server of the relay map answers \(response.status)")
        }
        bytes = try await response.collect(upTo: Self.maximumMapBytes)
      } catch let error as HTTPTransportError {
        throw CommandError("cannot get the relay map \(map): \(error.what)")
      }
    } else {
      guard let found = try SmallFile.read(map, upTo: Self.maximumMapBytes) else {
        throw CommandError("there is no relay map \(map)", code: .configuration)
      }
      bytes = found
    }
    do {
      return RelayMap(try DERPMap(json: bytes))
    } catch {
      throw CommandError("the relay map makes no sense: \(error)", code: .configuration)
    }
  }
}
