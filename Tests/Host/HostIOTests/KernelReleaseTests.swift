// SPDX-License-Identifier: Apache-2.0

import HostIO
import Testing

@Suite("Kernel releases")
struct KernelReleaseTests {
  @Test("A release is read from what the kernel calls itself")
  func reading() {
    #expect(KernelRelease("6.18.44-fc-v657") == KernelRelease(6, 18, 44))
    #expect(KernelRelease("7.0.2-6-pve") == KernelRelease(7, 0, 2))
    #expect(KernelRelease("7.1-rc3") == KernelRelease(7, 1, 0))
    #expect(KernelRelease("7") == KernelRelease(7, 0, 0))
    for nonsense in ["", "...", "x", "-6.1", "99999999999999999999.1"] {
      #expect(!KernelRelease(nonsense).corruptsTrains)
    }
    #expect(KernelRelease.running > KernelRelease(2, 6, 0))
  }

  @Test("Only the kernels in which trains are damaged are avoided")
  func corruptingTrains() {
    for good in ["6.6.44", "6.18.44", "6.99.99", "7.1.5", "7.2.0", "8.0.1"] {
      #expect(!KernelRelease(good).corruptsTrains)
    }
    for bad in ["7.0.0", "7.0.14-pve", "7.1.0", "7.1.4"] {
      #expect(KernelRelease(bad).corruptsTrains)
    }
  }
}
