// SPDX-License-Identifier: Apache-2.0

import Addressing
import Tables
import Timing

/// A peer wakes up when anything is changed that only a conversation needs.
extension PeerPaths {
  /// Whether there is nothing but what it was told.
  var isAsleep: Bool { wakeful.isEmpty }

  /// What a sleeping peer looks like to those who only read.
  private static let asleep = Wakeful()

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
    _read {
      if isAsleep { yield Self.asleep.best } else { yield wakeful.value.best }
    }
    _modify {
      wake()
      yield &wakeful.value.best
    }
  }

  var trustedUntil: Instant {
    _read {
      if isAsleep { yield Self.asleep.trustedUntil } else { yield wakeful.value.trustedUntil }
    }
    _modify {
      wake()
      yield &wakeful.value.trustedUntil
    }
  }

  var candidates: [Candidate] {
    _read {
      if isAsleep { yield Self.asleep.candidates } else { yield wakeful.value.candidates }
    }
    _modify {
      wake()
      yield &wakeful.value.candidates
    }
  }

  var pings: [OutstandingPing] {
    _read {
      if isAsleep { yield Self.asleep.pings } else { yield wakeful.value.pings }
    }
    _modify {
      wake()
      yield &wakeful.value.pings
    }
  }

  var heartbeatAt: Instant? {
    _read {
      if isAsleep { yield Self.asleep.heartbeatAt } else { yield wakeful.value.heartbeatAt }
    }
    _modify {
      wake()
      yield &wakeful.value.heartbeatAt
    }
  }

  var lastRound: Instant? {
    _read {
      if isAsleep { yield Self.asleep.lastRound } else { yield wakeful.value.lastRound }
    }
    _modify {
      wake()
      yield &wakeful.value.lastRound
    }
  }

  var lastDoubt: Instant? {
    _read {
      if isAsleep { yield Self.asleep.lastDoubt } else { yield wakeful.value.lastDoubt }
    }
    _modify {
      wake()
      yield &wakeful.value.lastDoubt
    }
  }

  var nextRound: Instant {
    _read {
      if isAsleep { yield Self.asleep.nextRound } else { yield wakeful.value.nextRound }
    }
    _modify {
      wake()
      yield &wakeful.value.nextRound
    }
  }

  var mapped: [Endpoint] {
    _read {
      if isAsleep { yield Self.asleep.mapped } else { yield wakeful.value.mapped }
    }
    _modify {
      wake()
      yield &wakeful.value.mapped
    }
  }

  var calls: TokenBucket? {
    _read {
      if isAsleep { yield Self.asleep.calls } else { yield wakeful.value.calls }
    }
    _modify {
      wake()
      yield &wakeful.value.calls
    }
  }

  var plain: PlainChoice? {
    _read {
      if isAsleep { yield Self.asleep.plain } else { yield wakeful.value.plain }
    }
    _modify {
      wake()
      yield &wakeful.value.plain
    }
  }

  var sleepAt: Instant? {
    _read {
      if isAsleep { yield Self.asleep.sleepAt } else { yield wakeful.value.sleepAt }
    }
    _modify {
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
