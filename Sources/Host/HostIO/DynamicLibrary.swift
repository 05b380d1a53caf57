// SPDX-License-Identifier: Apache-2.0

package import Cryptography
internal import Glibc

/// A library of the system that is opened while the program runs, and stays open until its end.
package struct DynamicLibrary: Sendable {
  private let handle: UInt

  /// Opens a library by the name under which the system's loader knows it.
  ///
  /// - Returns: The library, or the loader's words why not.
  package static func open(_ name: String) -> Result<DynamicLibrary, PacketBackendRefusal> {
    guard let handle = unsafe dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
      // SAFETY: the text stays until this thread calls the loader again.
      let reason = unsafe dlerror().map { unsafe String(cString: $0) }
      return .failure(.notInstalled(reason ?? "no reason given"))
    }
    return .success(DynamicLibrary(handle: UInt(bitPattern: handle)))
  }

  /// Where a symbol of the library lies; nil when it has none of that name.
  package func address(of symbol: String) -> UInt? {
    // SAFETY: the handle is the loader's, and is never given back.
    unsafe dlsym(UnsafeMutableRawPointer(bitPattern: handle), symbol).map { UInt(bitPattern: $0) }
  }
}

extension PacketBackendChoice {
  /// What packets are sealed with on this machine, of what is installed here.
  ///
  /// - Parameter wanted: The only backend to consider besides BoringSSL; nil for the fastest.
  /// - Returns: The choice, and why nothing faster was chosen.
  /// - Throws: `HostError` when not even BoringSSL gives the right answers.
  package static func onThisHost(
    wanting wanted: PacketBackend.Name? = nil
  ) throws(HostError) -> PacketBackendChoice {
    do throws(PacketBackendRefusal) {
      return try PacketBackendChoice(wanting: wanted) {
        DynamicLibrary.open(PacketBackend.libraryName).map { library in
          { library.address(of: $0) }
        }
      }
    } catch {
      throw HostError("seal packets (\(error))", code: ENOSYS, hint: "Install Martlet anew")
    }
  }
}
