// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost
import HostIO
import HostSettings
import Timing

/// The loop of a `LinkMonitor`: owned by its thread.
final class LinkWatch {
  /// How long it must be quiet before a burst counts as over.
  static let quiet = Duration.milliseconds(100)
  /// How long a burst may last before it is told all the same.
  static let burstMaximum = Duration.milliseconds(500)

  private enum Token {
    static let kernel: UInt64 = 1
    static let stop: UInt64 = 2
  }

  private let ownInterface: String
  private let ground: HostGround
  private var events: NetlinkSocket
  private var questions: NetlinkSocket
  private var poller: Poller
  private(set) var facts: HostFacts
  private var groundDisturbed = false
  private var interfaceHasBeenUp: Bool
  private var burst: (began: Instant, last: Instant)?

  init(ownInterface: String, ground: HostGround) throws(HostError) {
    (self.ownInterface, self.ground) = (ownInterface, ground)
    events = try NetlinkSocket(groups: Self.groups)
    questions = try NetlinkSocket()
    poller = try Poller()
    facts = try HostFacts.read(from: &questions)
    interfaceHasBeenUp = facts.interface(named: ownInterface)?.isUp ?? false
    try poller.add(events.descriptor.rawValue, token: Token.kernel)
  }

  private static var groups: UInt32 {
    let numbers: [UInt32] = [
      RTNLGRP_LINK.rawValue, RTNLGRP_IPV4_IFADDR.rawValue, RTNLGRP_IPV6_IFADDR.rawValue,
      RTNLGRP_IPV4_ROUTE.rawValue, RTNLGRP_IPV6_ROUTE.rawValue, RTNLGRP_IPV4_RULE.rawValue,
      RTNLGRP_IPV6_RULE.rawValue,
    ]
    return numbers.reduce(0) { $0 | 1 << ($1 - 1) }
  }

  /// Watches until `stop` is signalled; tells each change that makes a difference.
  func run(until stop: WakeSignal, tell: (LinkChange) -> Void) {
    do throws(HostError) {
      try poller.add(stop.rawDescriptor, token: Token.stop)
    } catch {
      preconditionFailure("an open signal can be waited for: \(error)")
    }
    while !stop.consume() {
      _ = poller.wait(until: burst.map { min($0.began + Self.burstMaximum, $0.last + Self.quiet) })
      readEvents()
      guard let burst, isOver(burst, at: MonotonicClock.now()) else { continue }
      self.burst = nil
      if let change = lookAgain() { tell(change) }
    }
  }

  private func isOver(_ burst: (began: Instant, last: Instant), at now: Instant) -> Bool {
    now >= burst.began + Self.burstMaximum || now >= burst.last + Self.quiet
  }

  private func readEvents() {
    while true {
      do throws(HostError) {
        for message in try events.receive("watch the network", milliseconds: 0) { note(message) }
      } catch {
        guard error.code != ETIMEDOUT else { return }
        // Events were lost, or one made no sense: anything may have changed.
        groundDisturbed = true
        return noteChange()
      }
    }
  }

  private func note(_ message: NetlinkMessage) {
    if !OwnPort.isOwn(message), isLoss(message) { groundDisturbed = true }
    noteChange()
  }

  private func noteChange() {
    let now = MonotonicClock.now()
    burst = (burst?.began ?? now, now)
  }

  /// Whether a message tells that a route, a rule or an address of ours was removed.
  private func isLoss(_ message: NetlinkMessage) -> Bool {
    // A message that makes no sense is nobody's loss; the tables are read again in any case.
    switch Int(message.kind) {
    case Int(RTM_DELRULE):
      return (try? RuleRecord(message)).map { !RouterPlan.ours([$0], ground).isEmpty } ?? false
    case Int(RTM_DELROUTE):
      return (try? RouteRecord(message)).map { !RouterPlan.ours([$0], ground).isEmpty } ?? false
    case Int(RTM_DELADDR):
      guard let address = try? AddressRecord(message) else { return false }
      let own = facts.interface(named: ownInterface)
      return Int(address.index) == own?.index && !address.prefix.address.isLinkLocal
    default: return false
    }
  }

  /// Whether our interface came up again, having lost its routes when it went down, or went away.
  private func isInterfaceDisturbed(since before: HostFacts) -> Bool {
    guard let was = before.interface(named: ownInterface) else { return false }
    guard let now = facts.interface(named: ownInterface), now.index == was.index else {
      return true
    }
    return now.isUp && !was.isUp && interfaceHasBeenUp
  }

  /// Reads the tables again; nil when nothing that matters is different.
  private func lookAgain() -> LinkChange? {
    let before = facts
    do throws(HostError) {
      facts = try HostFacts.read(from: &questions)
    } catch {
      // The next event asks again.
      noteChange()
      return nil
    }
    let change = LinkChange(
      facts: facts,
      networkChanged: facts.reachability(excluding: ownInterface)
        != before.reachability(excluding: ownInterface),
      groundDisturbed: groundDisturbed || isInterfaceDisturbed(since: before)
    )
    groundDisturbed = false
    if facts.interface(named: ownInterface)?.isUp == true { interfaceHasBeenUp = true }
    return change.networkChanged || change.groundDisturbed ? change : nil
  }
}
