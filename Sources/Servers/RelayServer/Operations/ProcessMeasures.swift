// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the process takes of its machine, as the kernel tells it.
struct ProcessMeasures {
  var residentBytes = 0
  var openFiles = 0
  var cpuSeconds = 0.0

  /// As it is now; what cannot be read is zero.
  static var now: ProcessMeasures {
    var measures = ProcessMeasures()
    let pages = read("/proc/self/statm").split(separator: " ").dropFirst().first
    measures.residentBytes = (pages.flatMap { Int($0) } ?? 0) * sysconf(Int32(_SC_PAGESIZE))
    measures.openFiles = countOpenFiles()
    var usage = rusage()
    // SAFETY: the call fills the structure that it is given.
    if unsafe getrusage(RUSAGE_SELF.rawValue, &usage) == 0 {
      measures.cpuSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
    return measures
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
  }

  private static func read(_ path: String) -> String {
    // SAFETY: the path and the buffer live as long as the calls that use them.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  private static func countOpenFiles() -> Int {
    // SAFETY: the directory is open until it is closed, and its entries are only counted.
    guard let directory = unsafe opendir("/proc/self/fd") else { return 0 }
    defer { unsafe _ = closedir(directory) }
    var count = 0
    while unsafe readdir(directory) != nil { count += 1 }
    // Itself, and the two that every directory has.
    return max(0, count - 3)
  }

  /// Under the names that every exporter of Prometheus uses, and the original's.
  var families: [MetricFamily] {
    func family(
      _ name: String,
      _ kind: MetricFamily.Kind,
      _ help: String,
      _ value: Double
    ) -> MetricFamily {
      MetricFamily(name, kind, help, [MetricFamily.Sample(value: value)])
    }
    return [
      MetricFamily(in: "derp", "gauge_current_file_descriptors", "Open files.", openFiles),
      family("process_resident_memory_bytes", .gauge, "Resident memory.", Double(residentBytes)),
      family("process_open_fds", .gauge, "Open files.", Double(openFiles)),
      family("process_cpu_seconds_total", .counter, "Processor time.", cpuSeconds),
    ]
  }
}
