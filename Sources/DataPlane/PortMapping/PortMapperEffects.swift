// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Timing

/// What the port mapper asks its driver to do; append-only for the core.
package struct PortMapperEffects: Sendable {
  /// A datagram to send from the socket on our address.
  package struct Send: Hashable, Sendable {
    /// The datagram.
    package var bytes: [UInt8]
    /// Where to.
    package var destination: Endpoint
  }

  /// A request over HTTP/1.1 to the gateway and to nobody else; answer with `received`.
  package struct Request: Hashable, Sendable {
    /// Goes back with the answer.
    package var id: UInt64
    /// Whom to connect to: the gateway.
    package var server: Endpoint
    /// The path.
    package var path: String
    /// The value of `SOAPAction` and the document to post; nil to get the path.
    package var post: Post?

    /// What is posted.
    package struct Post: Hashable, Sendable {
      /// The value of the `SOAPAction` field.
      package var action: String
      /// The document.
      package var body: [UInt8]
    }
  }

  /// Datagrams to send.
  package internal(set) var sends: [Send] = []
  /// Requests to make.
  package internal(set) var requests: [Request] = []
  /// The mapping, each time it changed; nil for none.
  package internal(set) var changes: [PortMapping?] = []
  /// What the gateway offers, each time a look at it ended.
  package internal(set) var findings: [MappingServices] = []
  /// What happened, for logs.
  package internal(set) var notes: [Note] = []

  /// Something that happened.
  package enum Note: Hashable, Sendable {
    /// A service has answered.
    case found(MappingService)
    /// A port was mapped, or its mapping renewed.
    case mapped(PortMapping, lifetime: Duration)
    /// A service did not map the port, for that reason.
    case failed(MappingService, reason: String)
    /// The gateway forgot its mappings.
    case forgotten(MappingService)
    /// A mapping ran out and could not be renewed.
    case expired(PortMapping)
  }

  /// Nothing to do.
  package init() {}

  /// Whether there is nothing to do.
  package var isEmpty: Bool {
    sends.isEmpty && requests.isEmpty && changes.isEmpty && findings.isEmpty && notes.isEmpty
  }

  /// The datagrams to send, which are sent then.
  package mutating func takeSends() -> [Send] {
    defer { sends = [] }
    return sends
  }

  mutating func send(_ bytes: [UInt8], to destination: Endpoint) {
    sends.append(Send(bytes: bytes, destination: destination))
  }
}

/// What the port mapper dropped.
package struct PortMapperCounters: Hashable, Sendable {
  /// Datagrams that did not come from the gateway.
  package internal(set) var foreign: UInt64 = 0
  /// Answers that nobody asked for, or that carry another nonce or port than was asked.
  package internal(set) var unsolicited: UInt64 = 0
  /// Datagrams and documents that made no sense.
  package internal(set) var malformed: UInt64 = 0
  /// Answers with the port 0 or an address that nobody can have.
  package internal(set) var absurd: UInt64 = 0
  /// Requests that the gateway refused.
  package internal(set) var refused: UInt64 = 0
  /// Announcements of a restart that came faster than they are believed.
  package internal(set) var excessAnnouncements: UInt64 = 0
  /// Devices beyond those that are kept.
  package internal(set) var excessDevices: UInt64 = 0

  /// Nothing yet.
  package init() {}
}

/// How long port mapping waits for what.
enum PortMapperTiming {
  /// When the questions of a look at the gateway are asked, after its start.
  static let probeRounds: [Duration] = [.zero, .milliseconds(250), .milliseconds(500)]
  /// How long a look lasts.
  static let probeLength = Duration.milliseconds(1000)
  /// How long a first answer waits for a better one.
  static let grace = Duration.milliseconds(50)
  /// When UPnP may be used, after the start of a look: the other services answer sooner.
  static let patienceBeforeUPnP = Duration.milliseconds(300)
  /// How long an answer is waited for the first time; each time twice as long.
  static let answer = Duration.milliseconds(250)
  /// How often a request is sent.
  static let tries = 4
  /// How long a conversation over HTTP waits for one answer.
  static let http = Duration.seconds(4)
  /// How long a service that answered counts as there.
  static let seen = Duration.seconds(600)
  /// What is asked of gateways, in seconds.
  static let lifetimeSeconds: UInt32 = 7200
  /// The least time between two renewals, whatever a gateway grants.
  static let leastRenewal = Duration.seconds(15)
  /// How often a mapping that stands is asked about.
  static let check = Duration.seconds(300)
  /// The least time between two such questions when somebody cares.
  static let leastCheck = Duration.seconds(20)
  /// The least time between two beliefs in an announced restart.
  static let leastAnnouncement = Duration.seconds(10)
  /// When to look again for a service where there was none; the last one for ever.
  static let looks: [Duration] = [.seconds(10), .seconds(60), .seconds(600)]
  /// When to try again what a gateway refused; the last one for ever.
  static let retries: [Duration] = [.seconds(10), .seconds(60), .seconds(600)]
  /// How long the end waits for a gateway's confirmation.
  static let farewell = Duration.milliseconds(800)
}

/// How much of what others send is kept.
enum PortMapperLimits {
  /// Devices that answered a search.
  static let devices = 8
  /// External ports that are tried at a gateway that chooses none.
  static let portTries = 4
}
