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
      mode,
      &settings
    )
    guard ["", "manual", "letsencrypt", "gcp"].contains(mode) else {
      throw settings.wrong("certmode", "has to be manual, letsencrypt or gcp")
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
    _ mode: String,
    _ settings: inout Settings
  ) throws(CommandError) -> ACMEOptions? {
    let email = try settings.value("acme-email", flags.acmeEmail, default: "")
    let url = try settings.value(
      "acme-url",
      flags.acmeUrl,
      default: mode == "gcp" ? ACMEOptions.google : ACMEOptions.letsEncrypt
    )
    let file = try settings.value("acme-ca", flags.acmeCa, default: "")
    let external = try externalAccount(flags, &settings)
    guard ["letsencrypt", "gcp"].contains(mode) else { return nil }
    guard mode != "gcp" || external != nil else {
      throw settings.wrong("acme-eab-kid", "has to name your account, with its --acme-eab-key")
    }
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
      external: external,
      certificateDirectory: directory,
      hostname: hostname
    )
  }
}

extension ServeSettings {
  /// Whose customer we are with the authority; its key comes from a file, or from where no other
  /// program sees it.
  private static func externalAccount(
    _ flags: ServeFlags,
    _ settings: inout Settings
  ) throws(CommandError) -> ACMEExternalAccount? {
    let id = try settings.value("acme-eab-kid", flags.acmeEabKid, default: "")
    var key = try settings.value("acme-eab-key", flags.acmeEabKey, default: "")
    guard id.isEmpty == key.isEmpty else {
      throw CommandError(
        "--acme-eab-kid and --acme-eab-key belong together: give both",
        code: .configuration
      )
    }
    guard !id.isEmpty else { return nil }
    if key.hasPrefix("file:") {
      guard let bytes = try SmallFile.read(String(key.dropFirst(5))) else {
        throw settings.wrong("acme-eab-key", "names a file that is not there")
      }
      key = String(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    } else if flags.acmeEabKey != nil {
      throw settings.wrong("acme-eab-key", "has to be file:PATH: everybody sees what flags say")
    }
    guard let account = ACMEExternalAccount(id: id, key: key) else {
      throw settings.wrong("acme-eab-key", "holds no key: it takes base-64 for addresses")
    }
    return account
  }
}

extension RelayOptions.Certificate {
  /// Whether somebody has to find us at port 80.
  var needsPlainHTTP: Bool { if case .managed = self { true } else { false } }
}
