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

  /// What readers see.
  ///
  /// The accessors below yield at one place each and are inlined: otherwise each use would allocate.
  @inline(__always) private var readable: Boxed<Wakeful> { isAsleep ? Self.asleep : wakeful }

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
    @inline(__always) _read { yield readable.value.best }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.best
    }
  }

  var trustedUntil: Instant {
    @inline(__always) _read { yield readable.value.trustedUntil }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.trustedUntil
    }
  }

  var candidates: [Candidate] {
    @inline(__always) _read { yield readable.value.candidates }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.candidates
    }
  }

  var pings: [OutstandingPing] {
    @inline(__always) _read { yield readable.value.pings }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.pings
    }
  }

  var heartbeatAt: Instant? {
    @inline(__always) _read { yield readable.value.heartbeatAt }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.heartbeatAt
    }
  }

  var lastRound: Instant? {
    @inline(__always) _read { yield readable.value.lastRound }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastRound
    }
  }

  var lastDoubt: Instant? {
    @inline(__always) _read { yield readable.value.lastDoubt }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastDoubt
    }
  }

  var nextRound: Instant {
    @inline(__always) _read { yield readable.value.nextRound }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.nextRound
    }
  }

  var mapped: [Endpoint] {
    @inline(__always) _read { yield readable.value.mapped }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.mapped
    }
  }

  var calls: TokenBucket? {
    @inline(__always) _read { yield readable.value.calls }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.calls
    }
  }

  var plain: PlainChoice? {
    @inline(__always) _read { yield readable.value.plain }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.plain
    }
  }

  var sleepAt: Instant? {
    @inline(__always) _read { yield readable.value.sleepAt }
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
