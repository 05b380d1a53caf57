// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import HTTPTransport
internal import JSON
internal import Logging
internal import Timing

/// A message to one webhook.
struct WebhookDelivery: Sendable {
  let webhook: Webhook
  let event: WebhookEvent
  let domain: String
}

/// Sends messages to webhooks: several at once, each a few times until it is taken.
struct WebhookSender: Sendable {
  /// How many messages may wait; more are dropped and counted.
  static let maximumWaiting = 1000
  /// How many are on their way at once.
  static let maximumUnderway = 8
  /// How often a message is sent before it is given up.
  static let attempts = 4
  /// How long a receiver may take.
  static let timeout = Duration.seconds(10)

  let logger: Logger

  /// Sends what comes until there comes no more.
  func run(_ deliveries: AsyncStream<WebhookDelivery>) async {
    await withTaskGroup(of: Void.self) { group in
      var underway = 0
      for await delivery in deliveries {
        if underway >= Self.maximumUnderway {
          await group.next()
          underway -= 1
        }
        group.addTask { await send(delivery) }
        underway += 1
      }
    }
  }

  private func send(_ delivery: WebhookDelivery) async {
    let body = ([delivery.event.json(of: delivery.domain)] as JSONValue).json
    var wait = Duration.seconds(1)
    for attempt in 1...Self.attempts {
      do {
        let signature = delivery.webhook.signature(of: body, at: SystemClock.now().time)
        let response = try await HTTPClient(timeout: Self.timeout).request(
          "POST",
          url: delivery.webhook.url,
          headers: [
            "Content-Type": "application/json", "Tailscale-Webhook-Signature": signature,
          ],
          body: body
        )
        response.body.cancel()
        if (200..<300).contains(response.status) { return }
        note(delivery, attempt, "status \(response.status)")
      } catch {
        note(delivery, attempt, "\(error)")
      }
      guard attempt < Self.attempts else { return }
      // Cut short only when the server stops.
      guard (try? await Task.sleep(for: wait)) != nil else { return }
      wait *= 4
    }
  }

  private func note(_ delivery: WebhookDelivery, _ attempt: Int, _ reason: String) {
    logger.notice(
      "a webhook did not take a message",
      metadata: [
        "webhook": "\(delivery.webhook.id)", "event": "\(delivery.event.event)",
        "attempt": "\(attempt) of \(Self.attempts)", "reason": "\(reason)",
      ]
    )
  }
}
