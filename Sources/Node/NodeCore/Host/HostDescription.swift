// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Glibc

/// What a node tells of the host under it.
struct HostDescription: Hashable, Sendable {
  /// The host's name.
  var hostname: String
  /// The kernel's release.
  var kernel: String
  /// The machine's architecture, as the kernel names it.
  var machine: String
  /// The distribution.
  var distribution = Distribution()

  /// A distribution as it names itself (os-release(5)); empty where it does not.
  struct Distribution: Hashable, Sendable {
    var id = ""
    var version = ""
    var codeName = ""
  }

  /// Asks the host.
  static func current() -> HostDescription {
    var names = utsname()
    // SAFETY: the kernel fills the structure with texts that end in a zero byte.
    guard unsafe uname(&names) == 0 else {
      return HostDescription(hostname: "localhost", kernel: "", machine: "")
    }
    var description = HostDescription(
      hostname: text(names.nodename),
      kernel: text(names.release),
      machine: text(names.machine)
    )
    description.distribution = Self.distribution(read("/etc/os-release"))
    return description
  }

  /// The part of a host's name that makes a node's name.
  var shortName: String {
    let label = hostname.prefix { $0 != "." }
    return label.isEmpty ? "localhost" : String(label)
  }

  /// What the coordination server is told.
  func hostinfo(named name: String, version: String) -> Hostinfo {
    var info = Hostinfo()
    info.ipnVersion = version
    info.backendLogID = "none"
    info.os = "linux"
    info.osVersion = kernel
    info.distro = distribution.id
    info.distroVersion = distribution.version
    info.distroCodeName = distribution.codeName
    info.hostname = name.isEmpty ? shortName : name
    info.machine = machine
    info.goArch = Self.architectures[machine] ?? machine
    info.userspace = false
    info.userspaceRouter = false
    info.noLogsNoSupport = true
    return info
  }

  /// The names by which the field knows architectures.
  private static let architectures = [
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64",
  ]

  /// Reads `KEY=value` lines with optional quotes (os-release(5)).
  static func distribution(_ text: String) -> Distribution {
    var values: [Substring: String] = [:]
    for line in text.split(separator: "\n") {
      guard let equals = line.firstIndex(of: "=") else { continue }
      let value = line[line.index(after: equals)...]
      values[line[..<equals]] = String(value.filter { $0 != "\"" && $0 != "'" }.prefix(64))
    }
    return Distribution(
      id: values["ID"] ?? "",
      version: values["VERSION_ID"] ?? "",
      codeName: values["VERSION_CODENAME"] ?? ""
    )
  }

  private static func text<Characters>(_ characters: Characters) -> String {
    // SAFETY: the bytes of the tuple are read while it lives, up to the zero that ends them.
    unsafe withUnsafeBytes(of: characters) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// The first bytes of a small text file; empty when it cannot be read.
  private static func read(_ path: String) -> String {
    // SAFETY: the names live through the call; the file is closed before leaving.
    guard let file = unsafe fopen(path, "re") else { return "" }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
