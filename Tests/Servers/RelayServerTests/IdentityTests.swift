// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import DERP
import Foundation
import HTTPTransport
import HostIO
import Keys
import Testing
import Timing

@testable import RelayServer

@Suite("Identity", .timeLimit(.minutes(10)))
struct IdentityTests {
  private struct Facts {
    let publicKey: NodeKey
    let certificateName: String
    let certificateSHA256: [UInt8]?
  }

  private func options(in directory: String, hostname: String = "127.0.0.1") -> RelayOptions {
    RelayOptions.local(.selfSigned, hostname: hostname).with { $0.stateDirectory = directory }
  }

  /// What a relay says of itself that was made for a moment.
  private func relay(in directory: String, hostname: String = "127.0.0.1") throws -> Facts {
    let options = options(in: directory, hostname: hostname)
    let relay = try RelayServer(options: options, logger: quiet)
    return Facts(
      publicKey: relay.publicKey,
      certificateName: relay.certificateName,
      certificateSHA256: relay.certificateSHA256
    )
  }

  private func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? NSNumber).intValue
  }

  @Test("Key and certificate outlive a restart, in files that only their owner reads")
  func persistence() async throws {
    try await withDirectory { directory in
      let first = try relay(in: directory)
      let second = try relay(in: directory)
      #expect(first.publicKey == second.publicKey)
      #expect(first.certificateName == second.certificateName)
      #expect(first.certificateName.hasPrefix("sha256-raw:"))
      #expect(try mode(directory) == 0o700)
      #expect(try mode(directory + "/relay.key") == 0o600)
      #expect(try mode(directory + "/relay.pem") == 0o600)
    }
  }

  @Test("Two relays do not share a state directory, and the second is told who has it")
  func sharedDirectory() async throws {
    try await withDirectory { directory in
      try await withRelay(options(in: directory)) { first in
        let error = #expect(throws: HostError.self) { _ = try relay(in: directory) }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains(directory))
        #expect(text.contains("--state,") || text.hasSuffix("--state"))
        #expect(text.contains("\(ProcessInfo.processInfo.processIdentifier)"))
        _ = try await TestClient(to: first)
      }
      _ = try relay(in: directory)
    }
  }

  @Test("A certificate for another name is replaced; the key stays")
  func anotherName() async throws {
    try await withDirectory { directory in
      let first = try relay(in: directory)
      let second = try relay(in: directory, hostname: "relay.example")
      #expect(first.publicKey == second.publicKey)
      #expect(first.certificateName != second.certificateName)
    }
  }

  @Test("A certificate that expires soon, or is not valid yet, is replaced at the next start")
  func rotation() async throws {
    let now = wallClock()
    let made = try SelfSignedCertificate(for: "relay.example", at: now)
    #expect(made.isMade(for: "relay.example"))
    #expect(!made.isMade(for: "relay.other"))
    #expect(made.lasts(at: now))
    #expect(made.lasts(at: now + .seconds(3600 * 86_400)))
    #expect(!made.lasts(at: now + .seconds(3630 * 86_400)))
    #expect(!made.lasts(at: now + .seconds(-2 * 86_400)))
    try await withDirectory { directory in
      let first = try relay(in: directory)
      let old = try SelfSignedCertificate(
        for: "127.0.0.1",
        at: now + .seconds(-3640 * 86_400)
      )
      try Data(old.pem.utf8).write(to: URL(filePath: directory + "/relay.pem"))
      let second = try relay(in: directory)
      #expect(second.publicKey == first.publicKey)
      #expect(second.certificateSHA256 != SHA256.hash(old.certificateDER))
      #expect(try relay(in: directory).certificateName == second.certificateName)
    }
  }

  @Test(
    "A damaged file is set aside with its contents, and a new one is made",
    arguments: ["relay.key", "relay.pem"]
  )
  func damagedFile(_ name: String) async throws {
    try await withDirectory { directory in
      let first = try relay(in: directory)
      let damaged = Data("privkey:0123 not a key\n".utf8)
      try damaged.write(to: URL(filePath: "\(directory)/\(name)"))
      let second = try relay(in: directory)
      let files = try FileManager.default.contentsOfDirectory(atPath: directory)
      let aside = try #require(files.first { $0.hasPrefix("\(name).corrupt-") })
      #expect(try Data(contentsOf: URL(filePath: "\(directory)/\(aside)")) == damaged)
      #expect((first.publicKey == second.publicKey) == (name == "relay.pem"))
      #expect((first.certificateName == second.certificateName) == (name == "relay.key"))
      let third = try relay(in: directory)
      #expect(third.publicKey == second.publicKey)
      #expect(third.certificateName == second.certificateName)
    }
  }

  @Test("Certificate files are shown with the introduction after them, and need no pin")
  func certificateFiles() async throws {
    try await withDirectory { directory in
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      let made = try SelfSignedCertificate(for: "relay.example", at: wallClock())
      let path = directory + "/both.pem"
      try Data(made.pem.utf8).write(to: URL(filePath: path))
      try await withRelay(.local(.files(certificate: path, key: path))) { relay in
        #expect(relay.certificateName.isEmpty)
        #expect(relay.certificateSHA256 == SHA256.hash(made.certificateDER))
        let stream = try await relay.dial()
        #expect(stream.peerCertificates.first == made.certificateDER)
        #expect(FastStart.serverKey(inCertificates: stream.peerCertificates) == relay.publicKey)
      }
    }
  }

  @Test("Renewed certificate files are shown without a restart; damaged ones are not")
  func renewal() async throws {
    try await withDirectory { directory in
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      let path = directory + "/both.pem"
      func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
      let first = try SelfSignedCertificate(for: "relay.example", at: wallClock())
      try write(first.pem)
      try await withRelay(.local(.files(certificate: path, key: path))) { relay in
        var staying = try await TestClient(to: relay)
        let second = try SelfSignedCertificate(for: "relay.example", at: wallClock())
        try write(second.pem)
        relay.renewCertificates()
        #expect(relay.certificateSHA256 == SHA256.hash(second.certificateDER))
        let stream = try await relay.dial()
        #expect(stream.peerCertificates.first == second.certificateDER)
        try write("nothing")
        relay.renewCertificates()
        #expect(relay.certificateSHA256 == SHA256.hash(second.certificateDER))
        _ = try await TestClient(to: relay)
        try await staying.settle()
      }
    }
  }

  @Test("Certificate files that cannot be used are named")
  func badFiles() async throws {
    try await withDirectory { directory in
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      let (one, other) = (directory + "/one.pem", directory + "/other.pem")
      let now = wallClock()
      try Data(SelfSignedCertificate(for: "a", at: now).pem.utf8).write(to: URL(filePath: one))
      try Data(SelfSignedCertificate(for: "a", at: now).pem.utf8).write(to: URL(filePath: other))
      for (certificate, key) in [(one, other), (directory + "/none.pem", one), (one, "/")] {
        let options = RelayOptions.local(.files(certificate: certificate, key: key))
        let error = #expect(throws: HTTPTransportError.self) {
          try RelayServer(options: options, logger: quiet)
        }
        #expect(error?.what.contains(certificate) == true)
        #expect(error?.what.contains(key) == true)
      }
    }
  }

  @Test("The node of the relay map says all that a client needs")
  func description() async throws {
    let options = RelayOptions.local(.selfSigned).with { $0.stun = [loopback] }
    try await withRelay(options) { relay in
      let node = relay.describe(as: "900a", in: RegionID(900))
      #expect(node.ipv4 == "127.0.0.1")
      #expect(node.ipv6 == "none")
      #expect(node.certName == relay.certificateName)
      #expect(node.derpPort == relay.derpPort.map(Int.init))
      #expect(node.stunPort == relay.stunPort.map(Int.init))
    }
  }
}
