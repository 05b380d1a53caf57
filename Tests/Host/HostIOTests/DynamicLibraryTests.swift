// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Testing

@testable import HostIO

@Suite("Libraries that are opened while the program runs")
struct DynamicLibraryTests {
  @Test(
    "A library that is not installed is told by the loader's words, and BoringSSL does the work"
  )
  func missing() throws {
    let result = DynamicLibrary.open("libmartlet-no-such-library.so.0")
    guard case .failure(.notInstalled(let reason)) = result else {
      Issue.record("a library that does not exist was opened")
      return
    }
    #expect(reason.contains("libmartlet-no-such-library.so.0"))
    let choice = try PacketBackendChoice { result.map { library in { library.address(of: $0) } } }
    #expect(choice.backend.name == .boringSSL)
  }

  @Test("A symbol of an open library is found, another is not")
  func symbols() throws {
    let library = try DynamicLibrary.open("libc.so.6").get()
    #expect(library.address(of: "getpid") != nil)
    #expect(library.address(of: "martlet_no_such_symbol") == nil)
  }

  @Test("A library that is something else than its name says lacks the symbols")
  func impostor() throws {
    let choice = try PacketBackendChoice {
      DynamicLibrary.open("libc.so.6").map { library in { library.address(of: $0) } }
    }
    #expect(choice.backend.name == .boringSSL)
    #expect(choice.shortcoming?.refusal == .symbol("imb_get_version"))
  }

  @Test("This machine has a backend that gives the right answers, BoringSSL when it is asked for")
  func choosing() throws {
    let choice = try PacketBackendChoice.onThisHost()
    #expect(PacketSelfTest.failure(of: choice.backend) == nil)
    let plain = try PacketBackendChoice.onThisHost(wanting: .boringSSL)
    #expect(plain.backend.name == .boringSSL)
  }
}
