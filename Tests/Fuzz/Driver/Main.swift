// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the fuzzer calls for each input.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: the fuzzer lends `count` bytes for the length of the call.
  let input = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
  chosen.run(input)
  return 0
}

/// What the fuzzer calls once; lists the targets when none of them is named.
@_cdecl("LLVMFuzzerInitialize")
func initialize(
  _ count: UnsafeMutablePointer<CInt>?,
  _ arguments: UnsafeMutableRawPointer?
) -> CInt {
  _ = chosen
  return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The target that `FUZZ_TARGET` names.
private let chosen: FuzzTarget = {
  // SAFETY: nothing changes the environment while this runs.
  let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
  guard let target = FuzzTarget.named(name) else {
    for target in FuzzTarget.all { print(([target.name] + target.seeds).joined(separator: "\t")) }
    exit(name.isEmpty ? 0 : 2)
  }
  return target
}()

/// libFuzzer with one of our targets.
@main
enum Main {
  static func main() {
    _ = chosen
    var count = CommandLine.argc
    // SAFETY: the arguments live as long as the process.
    var arguments = unsafe CommandLine.unsafeArgv
    exit(unsafe runFuzzer(&count, &arguments, testOneInput))
  }
}
