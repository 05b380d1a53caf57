// SPDX-License-Identifier: Apache-2.0

/// Who may talk to whom, as an administrator wrote it.
///
/// - SeeAlso: `Documentation/Policy.md`.
package struct Policy: Sendable {
  /// The text, comments and all.
  package let text: [UInt8]
  let document: PolicyDocument

  /// Reads a policy and looks whether it fits the world it is for, its tests included.
  package init(_ text: [UInt8], for world: PolicyWorld) throws(PolicyError) {
    do throws(PolicyFault) {
      document = try PolicyReader.read(text)
      try PolicyChecker(document, world).check()
      try PolicyTester.run(document, world)
    } catch {
      throw PolicyError(error, in: text)
    }
    self.text = text
  }

  /// Reads a policy that was found right before: users that are gone since, and tests that fail
  /// since, do not make it wrong.
  package init(restoring text: [UInt8]) throws(PolicyError) {
    do throws(PolicyFault) {
      document = try PolicyReader.read(text)
    } catch {
      throw PolicyError(error, in: text)
    }
    self.text = text
  }

  /// The policy with every word resolved for a state of the network; work grows with the rules and
  /// the sizes of their sets.
  ///
  /// - Parameters:
  ///   - world: The state of the network.
  ///   - last: The compilation that this one replaces.
  /// - Returns: The compilation.
  package func compiled(
    for world: PolicyWorld,
    after last: CompiledPolicy? = nil
  ) -> CompiledPolicy {
    CompiledPolicy(document, for: world, after: last)
  }
}
