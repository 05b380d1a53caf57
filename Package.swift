// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// The architecture is this table: group by group, each module may import only what stands here.
// Groups are listed bottom-up; `Scripts/check-architecture` refuses an arrow that points up.

/// One module: its name, the modules it stands on, and the packages it borrows from.
struct Module {
  enum Kind { case library, c, system, executable, standIn }
  var name: String
  var kind = Kind.library
  var on: [String] = []
  var borrowing: [Target.Dependency] = []
  /// What its tests need besides the module and what it stands on.
  var testing: [String]
  /// Libraries of the system that become part of every program that uses it.
  var linking: [String]
  /// Whether its speed matters to nobody: the release build makes it small instead.
  var isCold: Bool
  /// Whether it has a test target: libraries have, programs are tested by what they do.
  var isTested: Bool

  init(
    _ name: String,
    _ kind: Kind = .library,
    on: [String] = [],
    borrowing: [Target.Dependency] = [],
    testing: [String] = [],
    linking: [String] = [],
    isCold: Bool = false,
    isTested: Bool? = nil
  ) {
    (self.name, self.kind, self.on, self.borrowing) = (name, kind, on, borrowing)
    (self.testing, self.linking, self.isCold) = (testing, linking, isCold)
    self.isTested = isTested ?? (kind == .library)
  }
}

// For the C library below it, which is no product: one BoringSSL serves packets and TLS.
let boringSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
  .product(name: "NIOTLS", package: "swift-nio"),
  .product(name: "NIOSSL", package: "swift-nio-ssl"),
  .product(name: "NIOHTTP2", package: "swift-nio-http2"),
  .product(name: "NIOHPACK", package: "swift-nio-http2"),
]
let sqlite = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")

let groups: [(folder: String, modules: [Module])] = [
  (
    "Vocabulary",
    [
      Module("CSodium", .system),
      Module("CBLAKE2", .system),
      Module("CZstandard", .system),
      Module("CMultiBuffer", .c),
      Module("Bytes"),
      Module("Tables"),
      Module("Addressing", on: ["Bytes", "Tables"]),
      Module("Timing"),
      Module("JSON", on: ["Bytes"]),
      Module("Compression", on: ["Bytes", "CZstandard"], linking: [":libzstd.a"]),
      Module(
        "Cryptography",
        on: ["Bytes", "CSodium", "CBLAKE2", "CMultiBuffer"],
        borrowing: [boringSSL],
        linking: [":libsodium.a", ":libb2.a"]
      ),
      Module("Keys", on: ["Bytes", "Cryptography"]),
    ]
  ),
  (
    "DataPlane",
    [
      Module("Packets", on: ["Bytes", "Addressing"]),
      Module("PacketFilter", on: ["Packets", "Bytes", "Addressing", "Tables"]),
      Module(
        "WireGuard",
        on: ["Bytes", "Addressing", "Tables", "Timing", "Cryptography", "Keys"],
        testing: ["JSON"]
      ),
      Module("STUN", on: ["Bytes", "Addressing"]),
      Module(
        "Disco",
        on: ["Bytes", "Addressing", "Cryptography", "Keys"]
      ),
      Module(
        "DERP",
        on: ["Bytes", "Addressing", "Timing", "JSON", "Cryptography", "Keys"]
      ),
      Module(
        "PortMapping",
        on: ["Bytes", "Addressing", "Timing", "Cryptography"],
        testing: ["JSON"],
        isCold: true
      ),
      Module(
        "Magicsock",
        on: [
          "STUN", "Disco", "DERP", "Addressing", "Tables", "Timing", "Keys", "Bytes",
          "Cryptography",
        ],
        testing: ["PeerRelay", "Packets"]
      ),
      Module(
        "PeerRelay",
        on: [
          "Disco", "STUN", "Packets", "Bytes", "Addressing", "Timing", "Keys", "Cryptography",
        ]
      ),
      Module(
        "PacketPipeline",
        on: [
          "Packets", "PacketFilter", "WireGuard", "Magicsock", "Disco", "DERP", "STUN", "Bytes",
          "Addressing", "Tables", "Timing", "Keys", "Cryptography",
        ]
      ),
    ]
  ),
  (
    "Host",
    [
      Module("HostSettings", on: ["Addressing"]),
      Module("CHost", .c),
      Module("HostIO", on: ["CHost", "Bytes", "Addressing", "Timing", "Cryptography"]),
      Module(
        "HostConfiguration",
        on: ["HostSettings", "HostIO", "CHost", "Addressing", "Timing"],
        isCold: true
      ),
      Module(
        "HTTPTransport",
        on: ["HostIO", "Bytes", "Addressing", "Timing", "Cryptography"],
        borrowing: nio
      ),
    ]
  ),
  (
    "ControlPlane",
    [
      Module(
        "ControlProtocol",
        on: ["Bytes", "Addressing", "Timing", "JSON", "Compression", "Cryptography", "Keys"]
      ),
      Module(
        "ControlSession",
        on: ["ControlProtocol", "Addressing", "Timing", "Keys", "Bytes"],
        testing: ["JSON"],
        isCold: true
      ),
      Module("Netmap", on: ["ControlProtocol", "Addressing", "Keys", "Timing", "JSON"]),
      Module(
        "LocalAPI",
        on: ["ControlProtocol", "JSON", "Addressing", "Keys", "Timing", "Bytes"],
        isCold: true
      ),
      Module(
        "NodeConfiguration",
        on: [
          "Netmap", "ControlProtocol", "LocalAPI", "HostSettings", "PacketPipeline",
          "PacketFilter", "WireGuard", "Magicsock", "DERP", "Addressing", "Keys", "JSON", "Timing",
          "Packets",
        ]
      ),
    ]
  ),
  (
    "Node",
    [
      Module(
        "DataPlaneDriver",
        on: [
          "PacketPipeline", "PacketFilter", "WireGuard", "Packets", "Magicsock", "PeerRelay",
          "DERP",
          "STUN", "Disco", "HostIO", "HTTPTransport", "Bytes", "Addressing", "Timing", "Keys",
          "Cryptography",
        ],
        borrowing: [logging]
      ),
      Module(
        "PortMappingDriver",
        on: [
          "PortMapping", "HostIO", "HTTPTransport", "Addressing", "Timing", "Cryptography",
        ],
        isTested: false
      ),
      Module(
        "NodeCore",
        on: [
          "PortMappingDriver", "PortMapping", "DataPlaneDriver", "NodeConfiguration",
          "ControlSession", "ControlProtocol", "Netmap",
          "LocalAPI", "HostSettings", "HostConfiguration", "HostIO", "Packets", "PacketFilter",
          "WireGuard", "HTTPTransport", "PacketPipeline",
          "Magicsock", "PeerRelay", "DERP", "Addressing", "Keys", "Bytes", "Timing", "JSON",
          "Cryptography",
        ],
        borrowing: [logging],
        isCold: true
      ),
      Module(
        "RelayProbe",
        on: [
          "DataPlaneDriver", "DERP", "STUN", "HTTPTransport", "HostIO", "Keys", "Addressing",
          "Timing", "Cryptography", "JSON",
        ]
      ),
      Module(
        "NodeAPIs",
        on: [
          "LocalAPI", "ControlProtocol", "HTTPTransport", "JSON", "Addressing", "Keys", "Bytes",
          "Timing",
        ],
        borrowing: [logging],
        testing: ["Cryptography"],
        isCold: true
      ),
    ]
  ),
  (
    "Servers",
    [
      Module(
        "ACME",
        on: [
          "HTTPTransport", "HostConfiguration", "HostIO", "JSON", "Bytes", "Cryptography", "Timing",
        ],
        borrowing: [logging]
      ),
      Module(
        "RelayServer",
        on: [
          "ACME", "DERP", "STUN", "HTTPTransport", "HostIO", "HostConfiguration", "Keys",
          "Addressing", "Bytes", "Timing", "Cryptography", "JSON",
        ],
        borrowing: [logging]
      ),
      Module(
        "Coordination",
        on: [
          "ControlProtocol", "Addressing", "Keys", "Timing", "JSON", "Bytes", "Cryptography",
        ]
      ),
      Module(
        "CoordinationStore",
        on: ["Coordination", "ControlProtocol", "Addressing", "Keys", "Timing", "JSON", "Bytes"],
        borrowing: [sqlite]
      ),
      Module(
        "CoordinationServer",
        on: [
          "Coordination", "CoordinationStore", "ControlProtocol", "HTTPTransport", "Addressing",
          "Keys", "Timing", "JSON", "Bytes", "Compression", "Cryptography",
        ],
        borrowing: [logging]
      ),
    ]
  ),
  (
    "Laboratory",
    [
      Module(
        "Simulation",
        on: [
          "PortMapping", "PacketPipeline", "Packets", "PacketFilter", "WireGuard", "Magicsock",
          "PeerRelay", "Disco", "DERP", "STUN", "ControlProtocol", "ControlSession", "Netmap",
          "LocalAPI", "NodeConfiguration",
          "Coordination", "Addressing", "Keys", "Bytes", "Timing", "Cryptography",
        ]
      )
    ]
  ),
  (
    "Commands",
    [
      Module(
        "CommandLine",
        on: ["JSON"],
        borrowing: [arguments, logging],
        isCold: true
      ),
      Module("WithoutFoundation", .standIn),
      Module(
        "martletd",
        .executable,
        on: [
          "PortMapping", "CommandLine", "WithoutFoundation", "NodeCore", "NodeAPIs",
          "ControlProtocol",
          "HostConfiguration", "HostIO",
          "HostSettings", "HTTPTransport", "LocalAPI", "Addressing", "Keys", "Cryptography",
        ],
        borrowing: [arguments, logging],
        isCold: true
      ),
      Module(
        "martlet",
        .executable,
        on: [
          "CommandLine", "WithoutFoundation", "LocalAPI", "ControlProtocol", "HTTPTransport",
          "JSON", "Addressing",
          "Keys", "Timing", "HostIO", "Cryptography",
        ],
        borrowing: [arguments, logging],
        testing: ["NodeAPIs"],
        isCold: true,
        isTested: true
      ),
      Module(
        "martlet-derp",
        .executable,
        on: [
          "CommandLine", "WithoutFoundation", "RelayServer", "ACME", "DERP", "HTTPTransport",
          "HostIO", "Addressing", "Bytes",
        ],
        borrowing: [arguments, logging]
      ),
      Module(
        "martlet-derpprobe",
        .executable,
        on: [
          "CommandLine", "WithoutFoundation", "RelayProbe", "ControlProtocol", "NodeConfiguration",
          "DERP", "HTTPTransport", "HostIO", "Addressing", "Timing", "JSON",
        ],
        borrowing: [arguments, logging]
      ),
      Module(
        "martlet-stund",
        .executable,
        on: ["CommandLine", "WithoutFoundation", "STUN", "HTTPTransport", "Addressing"],
        borrowing: [arguments, logging]
      ),
      Module(
        "martlet-control",
        .executable,
        on: [
          "CommandLine", "CoordinationServer", "CoordinationStore", "Coordination", "RelayServer",
          "ControlProtocol", "HTTPTransport", "JSON", "Addressing", "Keys", "Timing", "Bytes",
          "Cryptography",
        ],
        borrowing: [arguments, logging]
      ),
      Module(
        "martlet-simulate",
        .executable,
        on: ["CommandLine", "Simulation", "Timing"],
        borrowing: [arguments]
      ),
      Module(
        "martlet-bench",
        .executable,
        on: [
          "CommandLine", "PacketPipeline", "PacketFilter", "Packets", "WireGuard", "Magicsock",
          "DERP", "HostIO", "JSON", "Bytes", "Addressing", "Timing", "Keys", "Cryptography",
          "ControlProtocol", "HTTPTransport", "Compression",
        ],
        borrowing: [arguments]
      ),
    ]
  ),
]

let modules = Dictionary(
  uniqueKeysWithValues: groups.flatMap { group in
    group.modules.map { ($0.name, (folder: group.folder, module: $0)) }
  }
)

/// `SLICE=WireGuard,Netmap swift test` builds those modules, what they stand on, and their tests only.
///
/// Two names are no modules: `Fuzz` is all fuzz targets, `PureFuzz` those of cores.
let asked = Context.environment["SLICE"].map { Set($0.split(separator: ",").map(String.init)) }
let fuzzesCoresOnly = asked?.contains("PureFuzz") ?? false

/// What reads bytes from strangers: the fuzz targets under Tests/Fuzz stand on these.
let fuzzed =
  [
    "Bytes", "Tables", "Addressing", "Timing", "JSON", "Compression", "Cryptography", "Keys",
    "Packets", "PacketFilter", "WireGuard", "STUN", "Disco", "DERP", "Magicsock", "PeerRelay",
    "PacketPipeline", "PortMapping", "ControlProtocol", "ControlSession", "Netmap", "LocalAPI",
    "NodeConfiguration", "Coordination",
  ]
  + (fuzzesCoresOnly
    ? [] : ["HostSettings", "HostConfiguration", "HTTPTransport", "NodeCore", "CommandLine"])
let slice: Set<String> = {
  guard var waiting = asked.map(Array.init) else { return Set(modules.keys) }
  for name in waiting { waiting += modules[name]?.module.testing ?? [] }
  waiting += ["Bytes", "JSON", "CHost"]  // What the support of the tests stands on.
  if waiting.contains("Fuzz") || fuzzesCoresOnly { waiting += fuzzed }
  waiting.removeAll { modules[$0] == nil }
  var reached: Set<String> = []
  while let name = waiting.popLast() {
    if reached.insert(name).inserted { waiting += modules[name]?.module.on ?? [] }
  }
  return reached
}()

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// How a module is compiled; see the decision on small programs.
func settings(of module: Module) -> [SwiftSetting] {
  guard module.isCold else { return strict }
  return strict + [.unsafeFlags(["-Osize"], .when(configuration: .release))]
}

func target(_ module: Module, in folder: String) -> Target {
  let path = "Sources/\(folder)/\(module.name)"
  let dependencies = module.on.map { Target.Dependency.target(name: $0) } + module.borrowing
  return switch module.kind {
  case .library:
    .target(
      name: module.name,
      dependencies: dependencies,
      path: path,
      swiftSettings: settings(of: module),
      linkerSettings: module.linking.map { .linkedLibrary($0) }
    )
  case .standIn:
    // Its symbols are named as if they were Foundation's; see the decision on small programs.
    .target(
      name: module.name,
      path: path,
      swiftSettings: strict + [
        .unsafeFlags(
          ["-module-abi-name", "FoundationEssentials"],
          .when(configuration: .release)
        )
      ]
    )
  case .c: .target(name: module.name, path: path)
  case .system: .systemLibrary(name: module.name, path: path)
  case .executable:
    .executableTarget(
      name: module.name,
      dependencies: dependencies,
      path: path,
      swiftSettings: settings(of: module)
    )
  }
}

func tests(of module: Module, in folder: String) -> Target {
  .testTarget(
    name: "\(module.name)Tests",
    dependencies: ([module.name] + module.on + module.testing).filter { modules[$0] != nil }
      .map { .target(name: $0) }
      + module.borrowing + ["TestSupport"],
    path: "Tests/\(folder)/\(module.name)Tests",
    swiftSettings: strict
  )
}

/// What tests share: readers of fixtures, a seeded generator, a network namespace of one's own.
let testSupport = Target.target(
  name: "TestSupport",
  dependencies: ["Bytes", "JSON", "CHost"],
  path: "Tests/Support/TestSupport",
  swiftSettings: strict
)

/// The fuzz targets: a test that replays their corpus, or with `FUZZ=1` the program of `make fuzz`.
func fuzzing() -> Target {
  let dependencies = fuzzed.map { Target.Dependency.target(name: $0) }
  return Context.environment["FUZZ"] == nil
    ? .testTarget(
      name: "FuzzTests",
      dependencies: dependencies,
      path: "Tests/Fuzz",
      exclude: ["Driver"] + (fuzzesCoresOnly ? ["Targets/Host.swift", "Targets/Local.swift"] : []),
      sources: ["Targets", "Replay"],
      swiftSettings: strict + (fuzzesCoresOnly ? [.define("CORES_ONLY")] : [])
    )
    : .executableTarget(
      name: "martlet-fuzz",
      dependencies: dependencies,
      path: "Tests/Fuzz",
      exclude: ["Replay"],
      sources: ["Targets", "Driver"],
      swiftSettings: strict
    )
}

let chosen = groups.flatMap { group in
  group.modules.filter { slice.contains($0.name) }.map { (group.folder, $0) }
}
let borrowed = Set(chosen.flatMap { $0.1.borrowing.map { String(describing: $0) } }).joined()
func needed(_ name: String, _ package: Package.Dependency) -> [Package.Dependency] {
  borrowed.contains("\"\(name)\"") ? [package] : []
}

let package = Package(
  name: "martlet",
  platforms: [.macOS(.v15)],
  dependencies:
    needed("swift-log", .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"))
    + needed(
      "swift-argument-parser",
      .package(
        url: "https://github.com/apple/swift-argument-parser.git",
        .upToNextMinor(from: "1.8.0")
      )
    )
    + needed("swift-nio", .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"))
    + needed(
      "swift-nio-ssl",
      // Pinned exactly: we reach into its BoringSSL, which promises no stable interface.
      .package(url: "https://github.com/apple/swift-nio-ssl.git", exact: "2.37.6")
    )
    + needed(
      "swift-nio-http2",
      .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0")
    )
    + needed("GRDB.swift", .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0")),
  targets: chosen.map { target($0.1, in: $0.0) } + [testSupport]
    + chosen.filter { asked?.contains($0.1.name) ?? true }
    .filter { $0.1.isTested }
    .map { tests(of: $0.1, in: $0.0) }
    + ((asked?.contains("Fuzz") ?? true) || fuzzesCoresOnly ? [fuzzing()] : [])
)
