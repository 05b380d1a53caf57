// SPDX-License-Identifier: Apache-2.0

import HostIO
import Synchronization
import WireGuard

/// The data threads of one node: starts them together and ends them together.
final class Shards: Sendable {
  /// Leaves word for them.
  let post: PostOffice
  let directory: PeerDirectory
  private let mailboxes: [Mailbox]
  private let signals: [WakeSignal]
  private let crew: Crew?
  private let threads = Mutex<[DataThread]>([])

  init(count: Int) throws(HostError) {
    var signals: [WakeSignal] = []
    for _ in 0..<count { signals.append(try WakeSignal()) }
    self.signals = signals
    mailboxes = signals.map(Mailbox.init)
    directory = PeerDirectory(count: count)
    post = PostOffice(mailboxes, directory)
    crew = count > 1 ? Crew(signals, directory) : nil
  }

  /// How many there are.
  var count: Int { mailboxes.count }

  /// Starts a thread for each, once; when one ends so do all.
  func start(
    _ devices: SharedDevices,
    _ options: DataPlaneOptions,
    named name: String,
    _ ways: DataPlaneThread.Ways,
    whenOver over: @escaping @Sendable () -> Void
  ) throws(HostError) {
    precondition(threads.withLock(\.isEmpty), "a data plane is started once")
    for index in 0..<count {
      let thread = try startOne(index, devices, options, name, ways, over)
      threads.withLock { $0.append(thread) }
    }
  }

  private func startOne(
    _ index: Int,
    _ devices: SharedDevices,
    _ options: DataPlaneOptions,
    _ name: String,
    _ ways: DataPlaneThread.Ways,
    _ over: @escaping @Sendable () -> Void
  ) throws(HostError) -> DataThread {
    guard let own = devices.take(index) else {
      preconditionFailure("a data plane is started once")
    }
    let helpers =
      options.helpers == 0
      ? nil
      : try Helpers(
        count: options.helpers,
        backend: options.backend,
        name: count == 1 ? name : "\(index)-\(name)"
      )
    let loop = Mutex<DataPlaneThread?>(
      try DataPlaneThread(
        own,
        options,
        mailbox: mailboxes[index],
        wake: signals[index],
        ways: ways,
        shard: Shard(index, of: count),
        crew: crew,
        share: helpers?.share
      )
    )
    let (mailbox, post) = (mailboxes[index], post)
    return try DataThread(name: count == 1 ? "data-\(name)" : "data\(index)-\(name)") {
      helpers?.begin()
      if var thread = loop.withLock({ $0.take() }) { thread.run() }
      helpers?.end()
      post.post(.stop)
      for mail in mailbox.close() {
        if case .status(let continuation) = mail { continuation.resume(returning: nil) }
      }
      over()
    }
  }

  /// What all of them did and know; nil once one has stopped.
  func status() async -> DataPlaneStatus? {
    var whole: DataPlaneStatus?
    for index in 0..<count {
      let one = await withCheckedContinuation { continuation in
        if !post.post(.status(continuation), to: index) { continuation.resume(returning: nil) }
      }
      guard let one else { return nil }
      whole?.merge(one)
      if whole == nil { whole = one }
    }
    return whole
  }

  /// Waits until all have ended, on the calling thread.
  func join() { for thread in threads.withLock(\.self) { thread.join() } }
}
