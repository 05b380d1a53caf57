// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import HTTPTransport
import LocalAPI
import Testing
import Timing

@testable import NodeCore

@Suite("What a node tells of itself")
struct HostTests {
  @Test("os-release is read with and without quotes, and nonsense in it is passed over")
  func distribution() {
    let text =
      "PRETTY_NAME=\"Debian 12\"\nID=debian\nVERSION_ID=\"12\"\nnonsense\n=\nVERSION_CODENAME=bookworm\n"
    let found = HostDescription.distribution(text)
    #expect(found == .init(id: "debian", version: "12", codeName: "bookworm"))
    #expect(HostDescription.distribution("") == .init())
  }

  @Test("the name asked for wins over the host's, whose first label counts")
  func name() {
    var host = HostDescription(hostname: "nest.example.org", kernel: "6.1", machine: "x86_64")
    #expect(host.hostinfo(named: "", version: "1").hostname == "nest")
    #expect(host.hostinfo(named: "tree", version: "1").hostname == "tree")
    #expect(host.hostinfo(named: "", version: "1").goArch == "amd64")
    host.hostname = ""
    #expect(host.shortName == "localhost")
  }

  @Test("a server's URL has a scheme and a host and no path")
  func serverURL() throws {
    #expect(try ServerURL("http://10.0.0.1:8080/").description == "http://10.0.0.1:8080")
    #expect(try ServerURL("https://control.example").description == "https://control.example")
    for text in ["", "control.example", "ftp://a", "http://", "http://a/b", "https://a b"] {
      #expect(throws: NodeError.self) { try ServerURL(text) }
    }
  }

  @Test("plain HTTP to a private address stays plain; a public name is tried with TLS too")
  func doors() throws {
    #expect(try ServerURL("http://127.0.0.1:8080").doors(onlyTLS: true).count == 1)
    let open = try ServerURL("http://control.example").doors(onlyTLS: false)
    #expect(open.count == 2)
    #expect(open.first == .tcp(host: "control.example", port: 80, tls: nil))
    let secure = try ServerURL("https://control.example").doors(onlyTLS: true)
    #expect(secure.count == 1)
  }

  @Test("a warning keeps the time it began and is told once")
  func health() {
    var health = HealthTracker()
    let (first, later) = (Timestamp(seconds: 10), Timestamp(seconds: 20))
    let told = [
      health.warn(.router, "no route", at: first), health.warn(.router, "no route", at: later),
      health.warn(.router, "still no route", at: later),
    ]
    #expect(told == [true, false, true])
    #expect(health.state.warnings["router"]?.brokenSince == first)
    #expect(health.texts == ["still no route"])
    let cleared = [health.clear(.router), health.clear(.router)]
    #expect(cleared == [true, false])
    #expect(health.texts.isEmpty)
  }

  @Test("metrics are Prometheus text: help and type before the numbers")
  func metrics() {
    var metrics = MetricsText()
    metrics.begin("a_total", .counter, help: "Counts a.")
    metrics.add("a_total", label: ("path", "derp"), 7)
    metrics.add("a_total", 1)
    #expect(
      metrics.text
        == "# HELP a_total Counts a.\n# TYPE a_total counter\na_total{path=\"derp\"} 7\na_total 1\n"
    )
  }
}
