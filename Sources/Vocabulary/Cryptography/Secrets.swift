// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Overwrites secret bytes that are of no more use, then empties the array.
///
/// Reaches this copy only: storage that another variable shares stays as it was.
public func wipe(_ secret: inout [UInt8]) {
  // SAFETY: pointer and count are those of the array, which nobody else can touch meanwhile.
  unsafe secret.withUnsafeMutableBytes { bytes in
    unsafe OPENSSL_cleanse(bytes.baseAddress, bytes.count)
  }
  secret = []
}
