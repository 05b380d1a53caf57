// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Magicsock
import Synchronization
import Timing

/// The connections of nodes to relays: the home relay always, others while in use.
extension World {
  /// How long a connection to a relay that is not the home is kept without use.
  static let relayIdle = Duration.seconds(60)

  // MARK: At the node

  func setHome(_ home: RegionID?, of node: VirtualNode) {
    let old = node.home
    node.home = home
    if let old, old != home { notePreferred(false, old, node) }
    if let home {
      if node.relays[home]?.connection != nil {
        notePreferred(true, home, node)
      } else {
        want(home, node)
      }
    }
    report(node)
  }

  private func notePreferred(_ isHome: Bool, _ region: RegionID, _ node: VirtualNode) {
    var effects = ClientSession.Effects()
    node.relays[region]?.session?.notePreferred(isHome, into: &effects)
    flush(effects, region, node)
  }

  /// Sees to it that there is a connection to a region.
  private func want(_ region: RegionID, _ node: VirtualNode) {
    guard node.relays[region]?.connection == nil,
      let index = relays.firstIndex(where: { $0.region == region })
    else { return }
    if node.relays[region] == nil { node.relays[region] = .init(lastUse: now) }
    node.relays[region]?.connection = open(from: node, to: .relay(index, region))
  }

  func dial(_ node: VirtualNode, _ server: Server) {
    guard !node.isAsleep else { return }
    switch server {
    case .relay(_, let region): if region == node.home { want(region, node) }
    case .coordination: dialControl(node)
    }
  }

  /// Sends a packet through a region, as soon as that is connected.
  func relay(_ bytes: [UInt8], from node: VirtualNode, to key: NodeKey, through region: RegionID) {
    want(region, node)
    node.relays[region]?.lastUse = now
    guard node.relays[region]?.isUp == true else {
      node.relays[region]?.waiting.append((key, bytes))
      if (node.relays[region]?.waiting.count ?? 0) > VirtualNode.RelayLink.maximumWaiting {
        node.relays[region]?.waiting.removeFirst()
      }
      return
    }
    var effects = ClientSession.Effects()
    _ = node.relays[region]?.session?.send(bytes[...], to: key, at: now, into: &effects)
    flush(effects, region, node)
  }

  private func flush(_ effects: ClientSession.Effects, _ region: RegionID, _ node: VirtualNode) {
    guard !effects.output.isEmpty, let id = node.relays[region]?.connection else { return }
    send(.bytes(effects.output), over: id, toNode: false)
  }

  func receive(_ bytes: [UInt8], from region: RegionID, at node: VirtualNode, over id: ConnectionID)
  {
    guard node.relays[region]?.connection == id else { return }
    var effects = ClientSession.Effects()
    if node.relays[region]?.session == nil {
      node.relays[region]?.session = ClientSession(
        privateKey: node.nodeKey,
        isHome: region == node.home,
        entropy: node.entropy,
        at: now,
        into: &effects
      )
      _ = node.entropy.next()
    }
    do {
      try node.relays[region]?.session?.receive(bytes, at: now, into: &effects)
    } catch {
      oracle.note("node\(node.index): the relay's frames are refused: \(error)", at: now)
      return end(id)
    }
    flush(effects, region, node)
    withPaths(node) { paths, now, _ in paths.relayHeard(region, at: now) }
    for event in effects.events { handle(event, region, node) }
  }

  private func handle(_ event: ClientSession.Event, _ region: RegionID, _ node: VirtualNode) {
    switch event {
    case .connected:
      node.relays[region]?.isUp = true
      node.relays[region]?.backoff.reset()
      withPaths(node) { paths, now, _ in paths.relayConnected(region, at: now) }
      let waiting = node.relays[region]?.waiting ?? []
      node.relays[region]?.waiting = []
      for packet in waiting {
        relay(packet.packet, from: node, to: packet.destination, through: region)
      }
    case .packet(let source, let packet): hand(packet, to: node, from: .relay(region, source))
    case .peerGone(let key, _): withPaths(node) { paths, _, _ in paths.peerGone(key, from: region) }
    default: break
    }
  }

  /// A connection to a region is gone, or was not made.
  func relayLost(_ region: RegionID, of node: VirtualNode, isFailure: Bool) {
    guard var link = node.relays[region], link.connection != nil else { return }
    let wasUp = link.isUp
    (link.connection, link.session, link.isUp, link.waiting) = (nil, nil, false, [])
    let wait = link.backoff.next(using: &node.entropy)
    node.relays[region] = link
    tell("node\(node.index): relay \(region) lost")
    if region == node.home, let index = relays.firstIndex(where: { $0.region == region }) {
      agenda.note(.dial(node: node.index, .relay(index, region)), at: now + wait)
    }
    guard wasUp, !node.isAsleep else { return }
    withPaths(node) { $0.relayClosed(region, failed: isFailure, at: $1, into: &$2) }
  }

  /// Ends what is idle or silent; sees to it that the home is connected.
  func tick(_ node: VirtualNode) {
    for (region, link) in node.relays.sorted(by: { $0.key < $1.key }) {
      guard let id = link.connection, connections[id] != nil else { continue }
      if region != node.home, now - link.lastUse >= Self.relayIdle {
        withPaths(node) { $0.relayClosed(region, failed: false, at: $1, into: &$2) }
        node.relays[region]?.isUp = false
        node.relays[region]?.connection = nil
        node.relays[region]?.session = nil
        end(id, tellsNode: false)
        continue
      }
      do {
        try link.session?.handleTimeouts(at: now)
      } catch {
        end(id)
      }
    }
  }

  // MARK: At the relay

  func accept(_ id: ConnectionID, at relay: VirtualRelay) {
    relay.clients[id] = VirtualRelay.Client()
    var greeting: [UInt8] = []
    relay.handshake.greeting.write(to: &greeting)
    send(.bytes(greeting), over: id, toNode: true)
  }

  func receive(_ bytes: [UInt8], at relay: VirtualRelay, over id: ConnectionID) {
    guard let client = relay.clients[id] else { return }
    do throws(FrameError) {
      if client.session == nil {
        client.decoder.append(bytes)
        guard let frame = try client.decoder.next() else { return }
        guard admit(frame, client, at: relay, over: id) else { return end(id) }
        _ = try client.session?.receive([], at: now, into: &relay.effects)
      } else {
        _ = try client.session?.receive(bytes, at: now, into: &relay.effects)
      }
    } catch {
      oracle.note("relay \(relay.region): a node's frames are refused: \(error)", at: now)
      return end(id)
    }
    perform(at: relay)
  }

  private func admit(
    _ frame: Frame,
    _ client: VirtualRelay.Client,
    at relay: VirtualRelay,
    over id: ConnectionID
  ) -> Bool {
    guard case .clientInfo(let key, let sealed) = frame,
      let admitted = relay.handshake.open(key, sealed: sealed)
    else { return false }
    var welcome: [UInt8] = []
    relay.handshake.welcome(admitted.key, using: &relay.entropy).write(to: &welcome)
    send(.bytes(welcome), over: id, toNode: true)
    let switched = relay.switchboard.add(
      RelayClient.Introduction(admitted.key, admitted.info),
      VirtualRelay.Link(id, relay.told),
      at: now,
      into: &relay.effects
    )
    client.session = RelaySession(switched, relay.switchboard, decoder: client.decoder)
    return true
  }

  func disconnected(_ id: ConnectionID, at relay: VirtualRelay) {
    guard let client = relay.clients.removeValue(forKey: id) else { return }
    client.session?.end(at: now, into: &relay.effects)
    perform(at: relay)
  }

  func tick(_ relay: VirtualRelay) {
    relay.switchboard.handleTimeouts(at: now, into: &relay.effects)
    perform(at: relay)
  }

  private func perform(at relay: VirtualRelay) {
    relay.switchboard.settle(&relay.effects)
    for id in relay.told.ended.take() { end(id) }
    for id in relay.told.ready.take() {
      guard let client = relay.clients[id]?.session?.client else { continue }
      var (output, counts) = ([UInt8](), RelayCounters())
      while client.takeOutput(upTo: .max, at: now, into: &output, &counts) {}
      relay.switchboard.add(counts)
      send(.bytes(output), over: id, toNode: true)
    }
  }
}

extension Mutex where Value == [ConnectionID] {
  /// Empties it.
  fileprivate borrowing func take() -> [ConnectionID] {
    withLock { list in
      defer { list = [] }
      return list
    }
  }
}
