// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import HTTPTransport

/// Counters and gauges of the server, in the text form of Prometheus.
///
/// - Source: Prometheus exposition formats, text format 0.0.4.
struct Metrics: Sendable {
  let coordinator: Coordinator
  let connections: ConnectionCount
  let api: APIDoor

  /// `GET /metrics`.
  func answer(_ request: HTTPRequest) async -> HTTPResponse {
    guard RequestTarget(request.path)?.path == "/metrics" else {
      return Answer.text(404, "There is nothing here but /metrics.")
    }
    guard request.method == "GET" else { return Answer.text(405, "Only GET is answered here.") }
    return await answer()
  }

  func answer() async -> HTTPResponse {
    Answer.bytes(200, "text/plain; version=0.0.4; charset=utf-8", Array(await text.utf8))
  }

  private var text: String {
    get async {
      let facts = await coordinator.facts
      var page = Page()
      page.gauge("nodes", "Nodes of the network.", facts.nodes)
      page.gauge("nodes_online", "Nodes that are connected.", facts.online)
      page.gauge("users", "Users of the network.", facts.users)
      page.gauge("machines_connected", "Connections of machines.", connections.open)
      page.counter(
        "machines_refused_total",
        "Connections refused for their number.",
        connections.refused
      )
      page.gauge("map_streams", "Open map streams.", facts.streams)
      page.counter("map_messages_total", "Messages sent over map streams.", facts.messages)
      page.counter(
        "map_streams_dropped_total",
        "Map streams ended for a slow reader.",
        facts.dropped
      )
      page.counter(
        "map_parts_encoded_total",
        "Runs of peers encoded for whole maps.",
        facts.encoded
      )
      page.counter(
        "map_parts_shared_total",
        "Runs of peers that were encoded already.",
        facts.shared
      )
      page.counter("changes_total", "Changes that nodes are told.", facts.changes)
      page.counter(
        "policy_compilations_total",
        "Compilations of the policy.",
        facts.policy.compilations
      )
      page.counter(
        "policy_nodes_examined_total",
        "Nodes looked at after one.",
        facts.policy.examined
      )
      page.counter(
        "policy_nodes_changed_total",
        "Nodes told something else after one.",
        facts.policy.changed
      )
      page.counter(
        "key_alarms_total",
        "Times that a key let in many nodes within a minute.",
        facts.alarms
      )
      page.gauge("questions_waiting", "Questions to nodes without an answer yet.", facts.questions)
      page.counter("questions_refused_total", "Questions refused for their number.", facts.unasked)
      page.counter("routers_silent_total", "Signs of life that routers did not give.", facts.silent)
      page.counter("store_commits_total", "Transactions written.", facts.commits)
      page.counter("store_refusals_total", "Transactions the store refused.", facts.refusals)
      page.gauge("store_waiting", "Events that wait for the store.", facts.waiting)
      page.counter(
        "endpoints_dropped_total",
        "Endpoints not kept for their number.",
        facts.endpoints
      )
      page.counter("logins_evicted_total", "Waiting logins that gave way.", facts.evicted)
      page.counter(
        "api_refusals_unwritten_total",
        "Refused calls too many to audit.",
        api.refusals.dropped
      )
      page.counter(
        "webhook_messages_dropped_total",
        "Messages to webhooks too many to wait.",
        facts.deliveries
      )
      return page.text
    }
  }

  private struct Page {
    var text = ""

    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
      add(name, help, "gauge", value)
    }

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
      add(name, help, "counter", value)
    }

    private mutating func add(_ name: String, _ help: String, _ type: String, _ value: Int) {
      let whole = "martlet_control_" + name
      text += "# HELP \(whole) \(help)\n# TYPE \(whole) \(type)\n\(whole) \(value)\n"
    }
  }
}

/// What the coordinator counts.
struct CoordinatorFacts: Sendable {
  var nodes = 0
  var online = 0
  var users = 0
  var streams = 0
  var messages = 0
  var dropped = 0
  var encoded = 0
  var shared = 0
  var changes = 0
  var policy = PolicyCounters()
  var commits = 0
  var refusals = 0
  var waiting = 0
  var endpoints = 0
  var evicted = 0
  var deliveries = 0
  var alarms = 0
  var questions = 0
  var unasked = 0
  var silent = 0
}

extension Coordinator {
  /// What it counts, as it stands.
  var facts: CoordinatorFacts {
    var facts = CoordinatorFacts()
    facts.nodes = tailnet.nodes.count
    facts.online = tailnet.nodes.keys.count { tailnet.isOnline($0) }
    facts.users = tailnet.users.count
    facts.streams = streams.count
    facts.messages = streams.messages
    facts.dropped = streams.dropped
    facts.encoded = runs.encoded
    facts.shared = runs.reused
    facts.changes = Int(tailnet.changes.head)
    facts.policy = tailnet.policyCounters
    (facts.commits, facts.refusals, facts.waiting) = (commits, refusedCommits, waiting)
    facts.endpoints = tailnet.droppedEndpoints
    facts.evicted = tailnet.logins.evicted
    facts.deliveries = droppedDeliveries
    facts.alarms = tailnet.keyAlarms
    (facts.questions, facts.unasked, facts.silent) =
      (questions.count, questions.refused, questions.missed)
    return facts
  }
}
