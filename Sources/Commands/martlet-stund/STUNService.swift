// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import HTTPTransport
import Logging
import STUN
import Synchronization

/// The life of the server.
struct STUNService {
  let stun: [Endpoint]
  let http: Endpoint?

  /// Answers until the process is asked to end.
  func run() async throws {
    do {
      try await serve()
    } catch let error as HTTPTransportError {
      throw CommandError(error.what, code: Self.code(of: error))
    }
  }

  private static func code(of error: HTTPTransportError) -> ExitCode {
    switch error.reason {
    case .inUse: .alreadyRunning
    case .notPermitted: .permission
    default: .configuration
    }
  }

  private func serve() async throws {
    let counts = STUNCounts()
    var responders: [DatagramResponder] = []
    for endpoint in stun {
      responders.append(
        try await DatagramResponder.start(on: endpoint, isV6Only: true) { datagram, source in
          counts.answer(datagram, source)
        }
      )
    }
    var page: HTTPServer?
    if let http {
      page = try await HTTPServer.start(on: [.tcp(http)]) { request in counts.page(request) }
    }
    let places = responders.compactMap { $0.endpoint?.description }.joined(separator: ",")
    Logger(label: "stund").notice("serving", metadata: ["stun": "\(places)"])
    _ = await Termination.wait()
    for responder in responders { await responder.shutdown() }
    await page?.shutdown()
  }
}

/// Answers, and counts what came.
private final class STUNCounts: Sendable {
  private let v4 = Atomic(0)
  private let v6 = Atomic(0)
  private let other = Atomic(0)

  func answer(_ datagram: [UInt8], _ source: Endpoint) -> [UInt8]? {
    let response = BindingResponse.answering(datagram, from: source)
    if response == nil {
      other.add(1, ordering: .relaxed)
    } else if source.address.isV4 {
      v4.add(1, ordering: .relaxed)
    } else {
      v6.add(1, ordering: .relaxed)
    }
    return response
  }

  func page(_ request: HTTPRequest) -> HTTPResponse {
    guard request.path == "/metrics" else {
      return HTTPResponse(status: 404, body: .bytes(Array("There is no such page.\n".utf8)))
    }
    let text = """
      # TYPE martlet_stun_requests_total counter
      martlet_stun_requests_total{family="ipv4"} \(v4.load(ordering: .relaxed))
      martlet_stun_requests_total{family="ipv6"} \(v6.load(ordering: .relaxed))
      # TYPE martlet_stun_refused_total counter
      martlet_stun_refused_total \(other.load(ordering: .relaxed))

      """
    return HTTPResponse(
      status: 200,
      headers: ["Content-Type": "text/plain; version=0.0.4"],
      body: .bytes(Array(text.utf8))
    )
  }
}
