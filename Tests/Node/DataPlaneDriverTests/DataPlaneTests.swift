// SPDX-License-Identifier: Apache-2.0

import Testing

/// All of them use the host's namespaces and threads, hence one after the other.
@Suite(
  "Data plane",
  .serialized,
  .disabled(if: NamespaceHost.obstacle != nil, "needs root, /dev/net/tun, namespaces and nft")
)
enum DataPlaneTests {}
