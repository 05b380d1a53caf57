// SPDX-License-Identifier: Apache-2.0

import Tables
import Timing

/// A peer wakes up when anything is changed that only a conversation needs.
extension Peer {
  /// Whether there is nothing but what it was told.
  var isAsleep: Bool { wakeful.isEmpty }

  /// What a sleeping peer looks like to those who only read.
  private static let asleep = Wakeful(timers: PeerTimers(jitterSeed: 0))

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
    _read {
      if isAsleep { yield Self.asleep.sessions } else { yield wakeful.value.sessions }
    }
    _modify {
      wake()
      yield &wakeful.value.sessions
    }
  }

  var timers: PeerTimers {
    _read {
      if isAsleep { yield Self.asleep.timers } else { yield wakeful.value.timers }
    }
    _modify {
      wake()
      yield &wakeful.value.timers
    }
  }

  var staticSecret: [UInt8]? {
    _read {
      if isAsleep { yield Self.asleep.staticSecret } else { yield wakeful.value.staticSecret }
    }
    _modify {
      wake()
      yield &wakeful.value.staticSecret
    }
  }

  var outstanding: OutstandingInitiation? {
    _read {
      if isAsleep { yield Self.asleep.outstanding } else { yield wakeful.value.outstanding }
    }
    _modify {
      wake()
      yield &wakeful.value.outstanding
    }
  }

  var cookie: ReceivedCookie {
    _read {
      if isAsleep { yield Self.asleep.cookie } else { yield wakeful.value.cookie }
    }
    _modify {
      wake()
      yield &wakeful.value.cookie
    }
  }

  var staged: StagedQueue {
    _read {
      if isAsleep { yield Self.asleep.staged } else { yield wakeful.value.staged }
    }
    _modify {
      wake()
      yield &wakeful.value.staged
    }
  }

  var lastInitiationReceived: Instant? {
    _read {
      if isAsleep {
        yield Self.asleep.lastInitiationReceived
      } else {
        yield wakeful.value.lastInitiationReceived
      }
    }
    _modify {
      wake()
      yield &wakeful.value.lastInitiationReceived
    }
  }

  var lastHandshakeSent: Instant? {
    _read {
      if isAsleep {
        yield Self.asleep.lastHandshakeSent
      } else {
        yield wakeful.value.lastHandshakeSent
      }
    }
    _modify {
      wake()
      yield &wakeful.value.lastHandshakeSent
    }
  }

  var called: Instant? {
    _read {
      if isAsleep { yield Self.asleep.called } else { yield wakeful.value.called }
    }
    _modify {
      wake()
      yield &wakeful.value.called
    }
  }
}
