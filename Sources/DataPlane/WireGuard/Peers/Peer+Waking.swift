// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Tables
import Timing

/// A peer wakes up when anything is changed that only a conversation needs.
extension Peer {
  /// Whether there is nothing but what it was told.
  var isAsleep: Bool { wakeful.isEmpty }

  /// What a sleeping peer looks like to those who only read.
  private static let asleep = {
    var box = Boxed<Wakeful>()
    box.fill(Wakeful(timers: PeerTimers(jitterSeed: 0)))
    return box
  }()

  /// What readers see.
  ///
  /// The accessors below yield at one place each and are inlined: otherwise each use would allocate.
  @inline(__always) private var readable: Boxed<Wakeful> { isAsleep ? Self.asleep : wakeful }

  private mutating func wake() {
    guard isAsleep else { return }
    wakeful.fill(Wakeful(timers: PeerTimers(jitterSeed: jitterSeed)))
  }

  /// Falls asleep if nothing is left to do: no session, no timer, no packet that waits.
  mutating func sleepIfIdle() {
    guard !isAsleep, timers.earliest == nil, sessions.isEmpty, outstanding == nil, staged.isEmpty
    else { return }
    forgetIdentity()
    wakeful.clear()
  }

  var sessions: Sessions {
    @inline(__always) _read { yield readable.value.sessions }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.sessions
    }
  }

  var timers: PeerTimers {
    @inline(__always) _read { yield readable.value.timers }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.timers
    }
  }

  var staticSecret: Bytes32? {
    @inline(__always) _read { yield readable.value.staticSecret }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.staticSecret
    }
  }

  var outstanding: OutstandingInitiation? {
    @inline(__always) _read { yield readable.value.outstanding }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.outstanding
    }
  }

  var cookie: ReceivedCookie {
    @inline(__always) _read { yield readable.value.cookie }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.cookie
    }
  }

  var staged: StagedQueue {
    @inline(__always) _read { yield readable.value.staged }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.staged
    }
  }

  var lastInitiationReceived: Instant? {
    @inline(__always) _read { yield readable.value.lastInitiationReceived }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastInitiationReceived
    }
  }

  var lastHandshakeSent: Instant? {
    @inline(__always) _read { yield readable.value.lastHandshakeSent }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.lastHandshakeSent
    }
  }

  var called: Instant? {
    @inline(__always) _read { yield readable.value.called }
    @inline(__always) _modify {
      wake()
      yield &wakeful.value.called
    }
  }
}
