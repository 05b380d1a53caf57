// SPDX-License-Identifier: Apache-2.0

import Addressing

/// What a text in a rule's source or destination list stands for.
///
/// | Form | Example |
/// |---|---|
/// | everything | `*` |
/// | address | `100.64.0.1` |
/// | prefix, host bits zero | `10.0.0.0/8` |
/// | range, ends included | `100.64.0.1-100.64.0.9` |
/// | nodes with a capability | `cap:name` |
///
/// - Source: `Documentation/Protocols/packet-filter.md`, IP set strings.
public enum AddressText: Hashable, Sendable {
  /// These addresses.
  case addresses(AddressSet)
  /// The nodes that have this capability.
  case capability(String)

  /// Reads one text.
  ///
  /// - Throws: `AddressTextError` when it has none of the forms.
  public init(_ text: String) throws(AddressTextError) {
    if text == "*" {
      self = .addresses(.everything)
    } else if text.hasPrefix("cap:"), text != "cap:" {
      self = .capability(String(text.dropFirst(4)))
    } else if text.contains("/") {
      guard let prefix = IPPrefix(text) else { throw .unreadable(text) }
      guard prefix.masked == prefix else { throw .hostBitsSet(text) }
      self = .addresses(AddressSet(CollectionOfOne(prefix)))
    } else if let dash = text.firstIndex(of: "-") {
      guard let first = IPAddress(text[..<dash]),
        let last = IPAddress(text[text.index(after: dash)...])
      else { throw .unreadable(text) }
      let range = AddressSet(from: first, through: last)
      guard !range.isEmpty else { throw .emptyRange(text) }
      self = .addresses(range)
    } else {
      guard let address = IPAddress(text) else { throw .unreadable(text) }
      self = .addresses(AddressSet(from: address, through: address))
    }
  }
}

/// A text in a rule stands for nothing.
public enum AddressTextError: Error, Hashable, Sendable {
  /// It is no address, prefix or range.
  case unreadable(String)
  /// It is a prefix with bits set beyond its length.
  case hostBitsSet(String)
  /// It is a range whose end comes before its start, or in another family.
  case emptyRange(String)
  /// It names a capability where only addresses may stand.
  case capabilityAsDestination(String)
}
