// SPDX-License-Identifier: Apache-2.0

import ACME
import Addressing
import CommandLine
import HTTPTransport
import RelayServer

/// What the relay shows to TLS clients.
extension ServeSettings {
  static func certificate(
    _ flags: ServeFlags,
    _ hostname: String,
    _ state: String,
    isTrial: Bool,
    _ settings: inout Settings
  ) throws(CommandError) -> RelayOptions.Certificate {
    let chain = try settings.value("cert", flags.cert, default: "")
    let key = try settings.value("key", flags.key, default: "")
    let isSelfSigned = try settings.value("self-signed", flags.selfSigned, default: false)
    let isPlain = try settings.value("plain", flags.plain, default: isTrial)
    let mode = try settings.value("certmode", flags.certmode, default: "")
    let directory = try settings.value("certdir", flags.certdir, default: state + "/certs")
    let managed = try managed(
      flags,
      hostname,
      directory,
      isWanted: mode == "letsencrypt",
      &settings
    )
    guard ["", "manual", "letsencrypt"].contains(mode) else {
      throw settings.wrong("certmode", "has to be manual or letsencrypt")
    }
    guard chain.isEmpty == key.isEmpty else {
      throw CommandError("--cert and --key belong together: give both", code: .configuration)
    }
    let choices = [!chain.isEmpty, isSelfSigned, isPlain, !mode.isEmpty]
    guard choices.count(where: { $0 }) == 1 else {
      throw CommandError(
        choices.contains(true)
          ? "--cert, --certmode, --self-signed and --plain exclude each other"
          : "the relay has no certificate",
        hint: "Give --cert FILE --key FILE, or --certmode letsencrypt --hostname NAME, or "
          + "--self-signed --hostname NAME, or --plain.",
        code: .configuration
      )
    }
    if let managed { return .managed(managed) }
    if mode == "manual" {
      guard !hostname.isEmpty else {
        throw settings.wrong("hostname", "has to name the relay, and so the files in --certdir")
      }
      let path = "\(directory)/\(hostname)"
      return .files(certificate: path + ".crt", key: path + ".key")
    }
    if !chain.isEmpty { return .files(certificate: chain, key: key) }
    return isSelfSigned ? .selfSigned : .none
  }

  private static func managed(
    _ flags: ServeFlags,
    _ hostname: String,
    _ directory: String,
    isWanted: Bool,
    _ settings: inout Settings
  ) throws(CommandError) -> ACMEOptions? {
    let email = try settings.value("acme-email", flags.acmeEmail, default: "")
    let url = try settings.value("acme-url", flags.acmeUrl, default: ACMEOptions.letsEncrypt)
    let file = try settings.value("acme-ca", flags.acmeCa, default: "")
    guard isWanted else { return nil }
    guard HTTPURL(url)?.isSecure == true else {
      throw settings.wrong("acme-url", "has to be an https:// address")
    }
    guard hostname.contains("."), IPAddress(hostname) == nil else {
      throw settings.wrong("hostname", "has to be a name that leads here, for its certificate")
    }
    var trust: String?
    if !file.isEmpty {
      guard let bytes = try SmallFile.read(file) else {
        throw settings.wrong("acme-ca", "names a file that is not there")
      }
      trust = String(decoding: bytes, as: UTF8.self)
    }
    return ACMEOptions(
      directoryURL: url,
      trust: trust,
      email: email,
      certificateDirectory: directory,
      hostname: hostname
    )
  }
}

extension RelayOptions.Certificate {
  /// Whether somebody has to find us at port 80.
  var needsPlainHTTP: Bool { if case .managed = self { true } else { false } }
}
