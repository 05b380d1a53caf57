// SPDX-License-Identifier: Apache-2.0

import Cryptography
package import HostIO
package import PortMapping
import Synchronization
import Timing

/// Something that the port mapper tells the rest of the node.
package enum PortMapperEvent: Sendable {
  /// The mapping is another one; nil for none.
  case mapping(PortMapping?)
  /// What the gateway offers.
  case services(MappingServices)
  /// What happened, for logs.
  case note(PortMapperEffects.Note)
}

/// The port mapper of a running node: a thread with its sockets, and requests to the gateway.
///
/// The rest of the node tells it what should be true and listens to `events`.
package final class PortMapperDriver: Sendable {
  /// How many events may wait to be read; then the oldest fall off.
  private static let maximumEvents = 256
  /// How many questions may wait for an answer; more get none.
  private static let maximumQuestions = 64

  /// What others say to the thread.
  enum Word: Sendable {
    case attach(GatewayAttachment?, port: UInt16)
    case want(Bool)
    case look
    case interest
    case answer([UInt8]?, id: UInt64)
    case stop
  }

  private struct State {
    var words: [Word] = []
    var isWanted = false
    var isOver = false
    var questions: [CheckedContinuation<MappingServices, Never>] = []
    var mapping: PortMapping?
    var services = MappingServices()
    var counters = PortMapperCounters()
    var attachment: GatewayAttachment?
  }

  /// What happens, for one reader.
  package let events: AsyncStream<PortMapperEvent>

  private let allowed: Set<MappingService>
  private let report: AsyncStream<PortMapperEvent>.Continuation
  private let state = Mutex(State())
  private let signal: WakeSignal
  private let mark: UInt32
  private let thread = Mutex<DataThread?>(nil)

  /// A driver that has not started.
  ///
  /// - Parameters:
  ///   - allowed: The services that may be used.
  ///   - mark: The packet mark of our own traffic; 0 for none.
  /// - Throws: `HostError` when the system has no more descriptors.
  package init(
    allowed: Set<MappingService> = Set(MappingService.allCases),
    mark: UInt32
  ) throws(HostError) {
    (self.allowed, self.mark) = (allowed, mark)
    signal = try WakeSignal()
    (events, report) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumEvents))
  }

  deinit { post(.stop) }

  /// Starts the thread; once.
  package func start() throws(HostError) {
    let mapper = PortMapper(allowed: allowed, entropy: .system)
    let loop = try PortMapperLoop(mapper, mark: mark, signal: signal)
    let started = try DataThread(name: "martlet-portmap") { [weak self] in
      loop.run(
        words: { self?.takeWords() ?? [.stop] },
        perform: { self?.perform($0, $1) },
        request: { self?.make($0) }
      )
      self?.finish()
    }
    thread.withLock { $0 = started }
  }

  // MARK: What should be true

  /// Takes note of the gateway, of our address, and of the port that is to be reached.
  package func attach(to attachment: GatewayAttachment?, port: UInt16) {
    state.withLock { $0.attachment = attachment }
    post(.attach(attachment, port: port))
  }

  /// Says whether there is to be a mapping.
  package func want(_ isWanted: Bool) {
    let isNew = state.withLock { state in
      defer { state.isWanted = isWanted }
      return state.isWanted != isWanted
    }
    // It is said often, and the thread sleeps well.
    if isNew { post(.want(isWanted)) }
  }

  /// Asks whether the mapping stands, because somebody looks at the network.
  package func takeInterest() { post(.interest) }

  // MARK: Questions

  /// Looks for services at the gateway, and tells what was found.
  package func look() async -> MappingServices {
    guard !allowed.isEmpty else { return MappingServices() }
    return await withCheckedContinuation { continuation in
      let isTaken = state.withLock { state in
        guard !state.isOver, state.questions.count < Self.maximumQuestions else { return false }
        state.questions.append(continuation)
        return true
      }
      if isTaken { post(.look) } else { continuation.resume(returning: services) }
    }
  }

  /// What the gateway offers, as far as it is known.
  package var services: MappingServices { state.withLock(\.services) }

  /// The mapping that stands.
  package var mapping: PortMapping? { state.withLock(\.mapping) }

  /// The gateway, and our address in its network.
  package var attachment: GatewayAttachment? { state.withLock(\.attachment) }

  /// What was dropped.
  package var counters: PortMapperCounters { state.withLock(\.counters) }

  /// Ends the mapping at the gateway, if that can be done at once, and the thread.
  package func shutdown() async {
    post(.stop)
    guard let thread = thread.withLock({ $0.take() }) else { return }
    await withCheckedContinuation { continuation in
      // Joining blocks, which a task must not do; the farewell is short.
      // Where there is no thread to be had for it nobody waits: it ends all the same.
      let joiner = try? DataThread(name: "martlet-join") {
        thread.join()
        continuation.resume()
      }
      if joiner == nil { continuation.resume() }
    }
    report.finish()
  }

  // MARK: The thread

  private func post(_ word: Word) {
    // Where no service may be used there is no thread that reads.
    guard !allowed.isEmpty else { return }
    state.withLock { if !$0.isOver { $0.words.append(word) } }
    signal.signal()
  }

  private func takeWords() -> [Word] {
    state.withLock { state in
      defer { state.words = [] }
      return state.words
    }
  }

  private func perform(_ effects: PortMapperEffects, _ counters: PortMapperCounters) {
    let waiting = state.withLock { state -> [CheckedContinuation<MappingServices, Never>] in
      state.counters = counters
      if let mapping = effects.changes.last { state.mapping = mapping }
      guard let services = effects.findings.last else { return [] }
      state.services = services
      defer { state.questions = [] }
      return state.questions
    }
    for note in effects.notes { report.yield(.note(note)) }
    for mapping in effects.changes { report.yield(.mapping(mapping)) }
    guard let services = effects.findings.last else { return }
    report.yield(.services(services))
    for one in waiting { one.resume(returning: services) }
  }

  private func make(_ request: PortMapperEffects.Request) {
    let mark = mark
    Task { [weak self] in
      let document = await GatewayRequest.answer(to: request, mark: mark)
      self?.post(.answer(document, id: request.id))
    }
  }

  private func finish() {
    let (waiting, services) = state.withLock { state in
      state.isOver = true
      defer { state.questions = [] }
      return (state.questions, state.services)
    }
    for one in waiting { one.resume(returning: services) }
  }
}
