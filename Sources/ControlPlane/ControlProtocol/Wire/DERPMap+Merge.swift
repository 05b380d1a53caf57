// SPDX-License-Identifier: Apache-2.0

extension DERPMap {
  /// The regions in order of their numbers.
  package var sortedRegions: [DERPRegion] {
    (regions ?? [:]).sorted { $0.key < $1.key }.map(\.value)
  }

  /// The region of that number.
  package func region(_ number: Int) -> DERPRegion? { regions?[number] }

  /// Takes over what an update says; what it leaves out stays.
  package mutating func merge(_ update: DERPMap) {
    if let regions = update.regions {
      self.regions = regions
      omitDefaultRegions = update.omitDefaultRegions
    }
    if let scores = update.homeParams?.regionScore {
      homeParams = DERPHomeParams(regionScore: scores)
    }
  }
}
