// SPDX-License-Identifier: Apache-2.0

import Addressing
import Tables
import Timing

/// A peer wakes up when anything is changed that only a conversation needs.
extension PeerPaths {
  /// Whether there is nothing but what it was told.
  var isAsleep: Bool { wakeful.isEmpty }

  /// What a sleeping peer looks like to those who only read.
  private static let asleep = {
    var box = Boxed<Wakeful>()
    box.fill(Wakeful())
    return box
  }()

  private mutating func wake() {
    guard isAsleep else { return }
    wakeful.fill(Wakeful(plain: isPlain ? PlainChoice() : nil))
    updateNetmapCandidates()
  }

  /// When something last happened that is worth remembering; the distant past for never.
  var lastStir: Instant {
    let heard = candidates.lazy.compactMap(\.lastHeard).max() ?? .distantPast
    return max(heard, lastSend ?? .distantPast, lastReceived ?? .distantPast)
  }

  /// Whether what is known may be forgotten, if nothing has happened for long.
  ///
  /// A peer without discovery that was heard stays awake: where it was heard is all there is.
  var mayFallAsleep: Bool { pings.isEmpty && heartbeatAt == nil && !(isPlain && best != nil) }

  /// Where it might be reached.
  var knownEndpoints: [Endpoint] {
    if isPlain { return configuration.endpoints }
    guard isAsleep else { return candidates.map(\.endpoint) }
    return configuration.endpoints.prefix(PathLimits.candidates).filter(\.isCallable)
  }

  var best: PathQuality? {
    get { isAsleep ? Self.asleep.value.best : wakeful.value.best }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.best
    }
  }

  var trustedUntil: Instant {
    get { isAsleep ? Self.asleep.value.trustedUntil : wakeful.value.trustedUntil }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.trustedUntil
    }
  }

  var candidates: [Candidate] {
    get { isAsleep ? Self.asleep.value.candidates : wakeful.value.candidates }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.candidates
    }
  }

  var pings: [OutstandingPing] {
    get { isAsleep ? Self.asleep.value.pings : wakeful.value.pings }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.pings
    }
  }

  var heartbeatAt: Instant? {
    get { isAsleep ? Self.asleep.value.heartbeatAt : wakeful.value.heartbeatAt }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.heartbeatAt
    }
  }

  var lastRound: Instant? {
    get { isAsleep ? Self.asleep.value.lastRound : wakeful.value.lastRound }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastRound
    }
  }

  var lastDoubt: Instant? {
    get { isAsleep ? Self.asleep.value.lastDoubt : wakeful.value.lastDoubt }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastDoubt
    }
  }

  var mtu: PathMTU {
    get { isAsleep ? Self.asleep.value.mtu : wakeful.value.mtu }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.mtu
    }
  }

  var lastRelaySearch: Instant? {
    get { isAsleep ? Self.asleep.value.lastRelaySearch : wakeful.value.lastRelaySearch }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastRelaySearch
    }
  }

  var nextRound: Instant {
    get { isAsleep ? Self.asleep.value.nextRound : wakeful.value.nextRound }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.nextRound
    }
  }

  var mapped: [Endpoint] {
    get { isAsleep ? Self.asleep.value.mapped : wakeful.value.mapped }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.mapped
    }
  }

  var calls: TokenBucket? {
    get { isAsleep ? Self.asleep.value.calls : wakeful.value.calls }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.calls
    }
  }

  var plain: PlainChoice? {
    get { isAsleep ? Self.asleep.value.plain : wakeful.value.plain }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.plain
    }
  }

  var sleepAt: Instant? {
    get { isAsleep ? Self.asleep.value.sleepAt : wakeful.value.sleepAt }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.sleepAt
    }
  }
}

extension PeerPathConfiguration {
  /// What is kept of it: addresses are of no use to path finding.
  var kept: PeerPathConfiguration {
    var kept = self
    kept.addresses = []
    return kept
  }
}
