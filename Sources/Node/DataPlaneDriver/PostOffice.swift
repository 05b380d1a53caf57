// SPDX-License-Identifier: Apache-2.0

import DERP
import Magicsock

/// Leaves word for the shards that it concerns: one, the first, or all.
final class PostOffice: Sendable {
  private let mailboxes: [Mailbox]
  private let directory: PeerDirectory

  init(_ mailboxes: [Mailbox], _ directory: PeerDirectory) {
    precondition(!mailboxes.isEmpty, "a node has a shard")
    (self.mailboxes, self.directory) = (mailboxes, directory)
  }

  /// How many shards there are.
  var count: Int { mailboxes.count }

  /// How many relayed packets did not fit.
  var droppedPackets: UInt64 { mailboxes.reduce(0) { $0 &+ $1.droppedPackets } }

  /// Leaves word for one shard.
  ///
  /// - Returns: Whether it will be read.
  @discardableResult
  func post(_ mail: Mail, to shard: Int) -> Bool { mailboxes[shard].post(mail) }

  /// Leaves word for whom it concerns.
  func post(_ mail: Mail) {
    guard mailboxes.count > 1 else {
      mailboxes[0].post(mail)
      return
    }
    switch mail {
    case .relayed(let packets, let region): postRelayed(packets, from: region)
    case .ping(let peer, _, _, _): mailboxes[directory.owner(of: peer)].post(mail)
    case .relayAllocated(_, let request):
      // Whichever asked for itself knows by the generation.
      guard let peer = request.peer else {
        for mailbox in mailboxes { mailbox.post(mail) }
        return
      }
      mailboxes[directory.owner(of: peer)].post(mail)
    case .discoKey, .networkChanged, .relayConnected, .relayClosed, .peerGone, .stop:
      for mailbox in mailboxes { mailbox.post(mail) }
    case .endpointsFresh: for mailbox in mailboxes.dropFirst() { mailbox.post(mail) }
    case .relayHeard, .netcheck, .portMapped, .resolved, .probed, .portalProbed, .wanted:
      mailboxes[0].post(mail)
    case .apply, .status, .initiation: preconditionFailure("mail for one shard is sent to it")
    }
  }

  /// Gives relayed packets to the owners of their senders, in order; strangers' to the first shard.
  private func postRelayed(_ packets: [RelayedPacket], from region: RegionID) {
    var sorted = [[RelayedPacket]](repeating: [], count: mailboxes.count)
    var (last, owner) = (
      packets.first?.source, packets.first.map { directory.owner(of: $0.source) ?? 0 } ?? 0
    )
    for packet in packets {
      if packet.source != last {
        (last, owner) = (packet.source, directory.owner(of: packet.source) ?? 0)
      }
      sorted[owner].append(packet)
      guard directory.isPeerRelay(packet.source),
        DatagramKind.classify(packet.bytes) == .disco
      else { continue }
      // What a peer relay answers is for whoever asked.
      for other in sorted.indices where other != owner { sorted[other].append(packet) }
    }
    for (shard, packets) in sorted.enumerated() where !packets.isEmpty {
      mailboxes[shard].post(.relayed(packets, from: region))
    }
    // The first shard watches over the relays.
    if sorted[0].isEmpty { mailboxes[0].post(.relayHeard(region)) }
  }
}
