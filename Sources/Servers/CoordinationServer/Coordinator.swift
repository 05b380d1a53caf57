// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
package import Coordination
package import CoordinationStore
package import Cryptography
package import Keys
package import Logging
internal import Synchronization
internal import Timing

/// Owns the network and the order of things: decide, write down, tell, answer.
///
/// An event changes the network at once. Its rows wait in a queue that is written as one transaction
/// with whatever else came meanwhile, so that many nodes at once cost few syncs. Only then are map
/// streams woken and the one who asked answered. When the store refuses, everything in the queue is
/// refused, and the network is read from the store again.
package actor Coordinator {
  /// How many events may wait for the store.
  static let maximumQueuedEvents = 20_000

  private let store: any Store
  private let tailnetID: TailnetID
  private let clock: @Sendable () -> Moment
  private let logger: Logger
  private var entropy: Entropy

  private(set) var tailnet: Tailnet
  private var queue: [QueuedEvent] = []
  private var isWriting = false
  /// How many transactions were written, and how many the store refused.
  private(set) var commits = 0
  private(set) var refusedCommits = 0
  private var trouble: StoreError?
  /// The number of the youngest change that streams may be told of.
  private(set) var published: Int64

  /// Node keys that have lost access, as they do: whom our relay serves no longer.
  package nonisolated let lostKeys: AsyncStream<NodeKey>
  private let lostKeyContinuation: AsyncStream<NodeKey>.Continuation
  /// How many may wait to be read; a relay asks at every connection anyhow.
  static let maximumLostKeys = 4096

  /// What webhooks are to be told, as it happens.
  nonisolated let webhookDeliveries: AsyncStream<WebhookDelivery>
  private let webhookContinuation: AsyncStream<WebhookDelivery>.Continuation
  /// How many messages to webhooks were dropped because too many waited.
  private(set) var droppedDeliveries = 0

  private var loginWaiters: [LoginID: [AsyncStream<Void>.Continuation]] = [:]
  private var checkWaiters: [CheckID: [AsyncStream<Void>.Continuation]] = [:]
  var streams = MapStreams()
  private(set) var runs = PeerRunCache()
  var questions = NodeQuestions()
  private var lastProbe: Instant?
  private var flushTask: Task<Void, Never>?
  private var lastFlush: Instant?

  /// An event whose rows wait to be written.
  private struct QueuedEvent {
    let effects: Effects
    let head: Int64
    let answer: CheckedContinuation<StoreError?, Never>?
  }

  /// A coordinator of the network that the store keeps.
  package init(
    store: any Store,
    tailnetID: TailnetID = .first,
    options: TailnetOptions,
    clock: @escaping @Sendable () -> Moment,
    entropy: Entropy = .system,
    logger: Logger
  ) async throws(StoreError) {
    self.store = store
    self.tailnetID = tailnetID
    self.clock = clock
    self.entropy = entropy
    self.logger = logger
    (lostKeys, lostKeyContinuation) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingNewest(Self.maximumLostKeys)
    )
    (webhookDeliveries, webhookContinuation) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingOldest(WebhookSender.maximumWaiting)
    )
    let records = try await store.load(tailnetID)
    tailnet = Tailnet(id: tailnetID, options: options, records: records, at: clock())
    published = tailnet.changes.head
  }

  /// How many events wait for the store.
  var waiting: Int { queue.count }

  /// Writes down that everything was copied.
  func noteBackup(to path: String, by actor: String) async throws {
    try await perform { tailnet, now, _, effects in
      tailnet.noteBackup(to: path, by: actor, at: now, into: &effects)
    }
  }

  /// What the clock reads now.
  var now: Moment { clock() }

  /// Makes an event happen and returns its answer once the store has its rows.
  ///
  /// - Throws: `Refusal` when the event was refused, `StoreError` when the store was.
  package func perform<Answer: Sendable>(
    _ event:
      @Sendable (
        inout Tailnet, Moment, inout Entropy, inout Effects
      ) throws(Refusal) -> Answer
  ) async throws -> Answer {
    if let trouble { throw trouble }
    guard queue.count < Self.maximumQueuedEvents else {
      throw StoreError(.failed, "Too many requests wait for the database. Try again.")
    }
    var effects = Effects()
    let answer = try event(&tailnet, now, &entropy, &effects)
    if let refusal = await settle(effects) { throw refusal }
    return answer
  }

  /// Reads the network as it stands.
  package func read<Answer: Sendable>(
    _ question: @Sendable (Tailnet, Moment) throws -> Answer
  ) rethrows -> Answer {
    try question(tailnet, now)
  }

  /// Whether a node of the network holds a key that has not ended: whom our relay serves.
  package func isMember(_ key: NodeKey) -> Bool {
    tailnet.node(with: key).map { $0.mayTalk(at: now.time) } ?? false
  }

  /// The youngest administrative acts.
  package func audit(limit: Int) async throws(StoreError) -> [AuditEntry] {
    try await store.audit(tailnetID, limit: limit)
  }

  /// Lets nobody reach anybody until there is a policy.
  package func closePolicy(because reason: String) {
    tailnet.closePolicy(because: reason)
    refreshAccess()
  }

  /// The policies that were in force, youngest first; the first is the one that is.
  package func policies(limit: Int) async throws(StoreError) -> [PolicyVersion] {
    try await store.policies(tailnetID, limit: limit)
  }

  /// Tells every node about other names than before.
  func apply(records: [DNSRecord]) {
    var effects = Effects()
    guard trouble == nil else { return }
    tailnet.apply(records: records, at: now, into: &effects)
    settleLater(effects)
  }

  /// Whether the store works.
  package func check() async throws(StoreError) {
    if let trouble { throw trouble }
    try await store.check()
  }

  /// Ends every map stream and waits for the store.
  package func shutDown() async {
    flushTask?.cancel()
    lostKeyContinuation.finish()
    webhookContinuation.finish()
    streams.endAll()
    questions.endAll()
    for waiters in loginWaiters.values { for waiter in waiters { waiter.finish() } }
    loginWaiters = [:]
    for waiters in checkWaiters.values { for waiter in waiters { waiter.finish() } }
    checkWaiters = [:]
    _ = await settle(Effects())
  }

  // MARK: The store

  /// Has the rows of an event written, then does what else it asks for.
  private func settle(_ effects: Effects) async -> StoreError? {
    if effects.mutations.isEmpty, !isWriting {
      finish(effects, head: tailnet.changes.head)
      return nil
    }
    return await withCheckedContinuation { answer in
      enqueue(effects, answer)
    }
  }

  /// Has the rows of an event written that nobody waits for.
  private func settleLater(_ effects: Effects) {
    if effects.mutations.isEmpty, !isWriting {
      finish(effects, head: tailnet.changes.head)
    } else {
      enqueue(effects, nil)
    }
  }

  private func enqueue(_ effects: Effects, _ answer: CheckedContinuation<StoreError?, Never>?) {
    queue.append(QueuedEvent(effects: effects, head: tailnet.changes.head, answer: answer))
    guard !isWriting else { return }
    isWriting = true
    writing = Task { await writeQueue() }
  }

  private var writing: Task<Void, Never>?

  private func writeQueue() async {
    while !queue.isEmpty {
      let batch = queue
      queue = []
      do throws(StoreError) {
        try await store.commit(batch.flatMap(\.effects.mutations), to: tailnetID)
      } catch {
        await recover(from: error, refusing: batch)
        continue
      }
      commits += 1
      for event in batch {
        finish(event.effects, head: event.head)
        event.answer?.resume(returning: nil)
      }
    }
    isWriting = false
  }

  /// Goes back to what the store has, refusing what it did not take.
  private func recover(from error: StoreError, refusing batch: [QueuedEvent]) async {
    trouble = error
    refusedCommits += 1
    logger.error("the store refused a write", metadata: ["reason": "\(error)"])
    for event in batch { event.answer?.resume(returning: error) }
    var backoff = Backoff()
    while trouble != nil {
      do throws(StoreError) {
        let records = try await store.load(tailnetID)
        var restored = Tailnet(id: tailnetID, options: tailnet.options, records: records, at: now)
        restored.adoptRuntime(of: tailnet, at: now)
        tailnet = restored
        trouble = nil
      } catch {
        // A sleep that is cut short only means that the store is asked again sooner.
        try? await Task.sleep(for: backoff.next(using: &entropy))
      }
    }
    // What came while the store was read went into the network that has just been dropped.
    let late = queue
    queue = []
    for event in late { event.answer?.resume(returning: error) }
    published = tailnet.changes.head
    streams.endAll()
  }

  private func finish(_ effects: Effects, head: Int64) {
    for id in effects.endedStreams { streams.end(of: id, except: tailnet.nodes[id]?.nodeKey) }
    for id in effects.settledLogins { wakeWaiters(of: id) }
    for id in effects.settledChecks {
      for waiter in checkWaiters.removeValue(forKey: id) ?? [] { waiter.finish() }
    }
    for key in effects.lostKeys { lostKeyContinuation.yield(key) }
    if !tailnet.webhooks.isEmpty { tellWebhooks(effects) }
    guard head > published else { return }
    published = head
    scheduleFlush()
  }

  /// Has webhooks told of what has been written down.
  private func tellWebhooks(_ effects: Effects) {
    for case .audit(let entry) in effects.mutations {
      guard let event = WebhookEvent(entry) else { continue }
      for webhook in tailnet.webhooks.values.sorted(by: { $0.id < $1.id }) {
        // A trial is for the one that is tried.
        let isMeant =
          event.event == .test
          ? entry.subject == "webhook \(webhook.id)" : webhook.events.contains(event.event)
        guard isMeant else { continue }
        let delivery = WebhookDelivery(
          webhook: webhook,
          event: event,
          domain: tailnet.options.domain
        )
        if case .dropped = webhookContinuation.yield(delivery) { droppedDeliveries += 1 }
      }
    }
  }

  // MARK: Time

  /// Does what is due; to be called about once a second.
  package func tick() {
    var effects = Effects()
    guard trouble == nil else { return }
    tailnet.handleTimeouts(at: now, into: &effects)
    tailnet.refreshAccess(at: now, into: &effects)
    settleLater(effects)
    for node in questions.expire(at: now.instant) { noteSign(of: node, isThere: false) }
    probeRouters()
    let slow = streams.tick(at: now.instant)
    if slow > 0 { logger.notice("dropped slow map streams", metadata: ["count": "\(slow)"]) }
  }

  // MARK: Asking nodes

  /// Asks routers whether they live, where another could take their place.
  private func probeRouters() {
    let interval = tailnet.options.routerProbe
    guard interval > .zero, lastProbe.map({ now.instant - $0 >= interval }) ?? true else { return }
    lastProbe = now.instant
    for node in tailnet.sharingRouters where streams.hasStream(of: node) {
      let deadline = now.instant + interval / 2
      guard questions.askForSign(of: node, until: deadline, using: &entropy) else { continue }
      streams.wake(node)
    }
  }

  /// A router has given a sign of life, or has not in time.
  func noteSign(of node: NodeID, isThere: Bool) {
    var effects = Effects()
    guard trouble == nil else { return }
    tailnet.noteSign(of: node, isThere: isThere, at: now, into: &effects)
    if effects.hasChanges { settleLater(effects) }
  }

  /// Puts a question to a node; nil when it is not connected or too many wait.
  func question(_ node: NodeID, _ request: [UInt8]) -> AsyncStream<[UInt8]>? {
    guard streams.hasStream(of: node) else { return nil }
    let answers = questions.ask(node, request, at: now.instant, using: &entropy)
    streams.wake(node)
    return answers
  }

  // MARK: Waking streams

  /// Wakes the streams, soon: what happens within a moment is told together.
  ///
  /// The more streams there are, the longer the moment, so that a thousand nodes that come back at
  /// once are not a million messages.
  private func scheduleFlush() {
    guard flushTask == nil else { return }
    let moment = Duration.milliseconds(20) + .microseconds(100) * streams.count
    let since = lastFlush.map { now.instant - $0 } ?? moment
    guard since < moment else { return flush() }
    flushTask = Task {
      // Cancelled only when the server stops.
      guard (try? await Task.sleep(for: moment - since)) != nil else { return }
      self.flush()
    }
  }

  private func flush() {
    flushTask = nil
    refreshAccess()
    lastFlush = now.instant
    streams.wake(behind: published)
  }

  /// Works out anew what the policy comes to, when something that it speaks of has changed.
  private func refreshAccess() {
    var effects = Effects()
    tailnet.refreshAccess(at: now, into: &effects)
    if effects.hasChanges { settleLater(effects) }
  }

  // MARK: Logins

  /// Waits until an administrator has decided about a login, or it is gone.
  package func waitForVerdict(on id: LoginID) async {
    guard tailnet.logins[id]?.verdict == .pending else { return }
    let (verdicts, waiter) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    var waiters = loginWaiters[id] ?? []
    // A machine asks once at a time; who asks more often only wakes its older questions.
    if waiters.count >= 4 { waiters.removeFirst().finish() }
    loginWaiters[id] = waiters + [waiter]
    for await _ in verdicts { break }
  }

  /// Waits until somebody has decided about a session, or it is gone.
  package func waitForVerdict(on id: CheckID) async {
    guard tailnet.checks[id]?.verdict == .pending else { return }
    let (verdicts, waiter) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    var waiters = checkWaiters[id] ?? []
    // A machine asks once at a time; who asks more often only wakes its older questions.
    if waiters.count >= 4 { waiters.removeFirst().finish() }
    checkWaiters[id] = waiters + [waiter]
    for await _ in verdicts { break }
  }

  private func wakeWaiters(of id: LoginID) {
    for waiter in loginWaiters.removeValue(forKey: id) ?? [] { waiter.finish() }
  }
}

// MARK: - Map streams

extension Coordinator {
  /// Begins a map stream, and says everything that its first response says.
  ///
  /// - Returns: nil when the node is gone or has another key by now.
  func openStream(
    of node: NodeID,
    compressed: Bool,
    abort: @escaping @Sendable () -> Void
  ) -> (MapStream, WholeMap)? {
    var effects = Effects()
    guard let record = tailnet.nodes[node] else { return nil }
    questions.forgetSigns(of: node)
    tailnet.connected(node, at: now, into: &effects)
    if tailnet.isAccessStale(for: node) { tailnet.refreshAccess(at: now, into: &effects) }
    let builder = MapBuilder(tailnet)
    let stream = streams.open(
      node: node,
      nodeKey: record.nodeKey,
      compressed: compressed,
      cursor: tailnet.changes.head,
      told: builder.audience(of: node),
      at: now.instant,
      using: &entropy,
      abort: abort
    )
    runs.follow(tailnet.changes)
    let map = runs.map(for: node, from: builder, compressed: compressed, at: now)
    settleLater(effects)
    guard let map else { return nil }
    return (stream, map)
  }

  /// A stream has handed on what it was given.
  func didWrite(_ stream: MapStream) { streams.didWrite(stream.id) }

  /// Everything a node would be told at the start of a stream, without starting one.
  func wholeMap(for node: NodeID, compressed: Bool) -> WholeMap? {
    runs.follow(tailnet.changes)
    return runs.map(for: node, from: MapBuilder(tailnet), compressed: compressed, at: now)
  }

  /// Ends a map stream.
  func closeStream(_ stream: MapStream) {
    guard streams.close(stream.id) else { return }
    tailnet.disconnected(stream.node, at: now)
  }

  /// What a stream that was woken has to send.
  func nextMessage(of stream: MapStream) async throws(MapStreamEnd) -> MapMessage {
    guard let position = streams.position(of: stream.id), !position.isEnded else {
      throw MapStreamEnd()
    }
    if let ping = questions.take(for: stream.node) {
      // What else there is comes with the next turn.
      streams.wake(stream.node)
      streams.begin(stream.id, at: now.instant, using: &entropy)
      var response = MapResponse()
      response.keepAlive = true
      response.pingRequest = ping
      return .frame(await encodedFrame(response, compressed: stream.compressed))
    }
    guard position.cursor < published else {
      return streams.keepAliveIsDue(stream.id, at: now.instant, using: &entropy)
        ? .keepAlive : .nothing
    }
    let builder = MapBuilder(tailnet)
    let sees = builder.audience(of: stream.node)
    let range = MapRange(
      from: position.cursor,
      to: published,
      compressed: stream.compressed,
      told: position.told,
      sees: sees
    )
    guard let summary = summary(of: range) else { throw MapStreamEnd() }
    streams.advance(stream.id, to: published, at: now.instant, using: &entropy)
    streams.tell(stream.id, of: sees)
    // What the first of many who are not concerned themselves was told holds for the others.
    let isBystander =
      !summary.touches(stream.node) && range.isAlike(for: stream.node)
      && builder.mayTalk(stream.node, at: now)
    if isBystander, let known = streams.knownFrame(range) {
      guard let frame = known else {
        streams.didWrite(stream.id)
        return .nothing
      }
      return .frame(await frame.value)
    }
    switch builder.delta(summary, for: stream.node, told: position.told, at: now) {
    case .nothing:
      if isBystander { streams.keepSilence(for: range) }
      streams.didWrite(stream.id)
      return .nothing
    case .own(let response):
      return .frame(await encodedFrame(response, compressed: stream.compressed))
    case .shared(let response): return .frame(await streams.sharedFrame(range, response).value)
    }
  }

  private func summary(of range: MapRange) -> ChangeSummary? {
    if let known = streams.summaries[range.numbers] { return known }
    let changes = tailnet.changes.changes(after: range.numbers.from, through: range.numbers.to)
    guard let summary = changes.map({ ChangeSummary($0) }) else { return nil }
    streams.keep(summary, for: range.numbers)
    return summary
  }
}
