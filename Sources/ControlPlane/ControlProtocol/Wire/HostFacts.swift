// SPDX-License-Identifier: Apache-2.0

package import JSON

/// Something that a node offers on a port.
package struct Service: Hashable, Sendable, JSONReadable, JSONWritable {
  /// `tcp`, `udp`, `peerapi4`, `peerapi6` or `peerapi-dns-proxy`.
  package var proto: String = ""
  /// The port.
  package var port: UInt16 = 0
  /// What it is.
  package var description: String = ""

  /// One with these facts.
  package init(
    proto: String = "",
    port: UInt16 = 0,
    description: String = ""
  ) {
    self.proto = proto
    self.port = port
    self.description = description
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Proto": proto = try reader.string()
      case "Port": port = try reader.integer()
      case "Description": description = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Proto", proto)
      writer.field("Port", port)
      writer.field("Description", ifNonempty: description)
    }
  }
}

/// Where a node is.
package struct Location: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The country.
  package var country: String = ""
  /// Its code.
  package var countryCode: String = ""
  /// The city.
  package var city: String = ""
  /// Its code.
  package var cityCode: String = ""
  /// Degrees north.
  package var latitude: Double = 0
  /// Degrees east.
  package var longitude: Double = 0
  /// Which to prefer among exit nodes.
  package var priority: Int = 0

  /// One with these facts.
  package init(
    country: String = "",
    countryCode: String = "",
    city: String = "",
    cityCode: String = "",
    latitude: Double = 0,
    longitude: Double = 0,
    priority: Int = 0
  ) {
    self.country = country
    self.countryCode = countryCode
    self.city = city
    self.cityCode = cityCode
    self.latitude = latitude
    self.longitude = longitude
    self.priority = priority
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Country": country = try reader.string()
      case "CountryCode": countryCode = try reader.string()
      case "City": city = try reader.string()
      case "CityCode": cityCode = try reader.string()
      case "Latitude": latitude = try reader.double()
      case "Longitude": longitude = try reader.double()
      case "Priority": priority = try reader.int()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Country", ifNonempty: country)
      writer.field("CountryCode", ifNonempty: countryCode)
      writer.field("City", ifNonempty: city)
      writer.field("CityCode", ifNonempty: cityCode)
      writer.field("Latitude", ifNonzero: latitude)
      writer.field("Longitude", ifNonzero: longitude)
      writer.field("Priority", ifNonzero: priority)
    }
  }
}

/// A trusted platform module.
package struct TPMInfo: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Who made it.
  package var manufacturer: String = ""
  /// Who sold it.
  package var vendor: String = ""
  /// Its model.
  package var model: Int = 0
  /// Its firmware.
  package var firmwareVersion: UInt64 = 0
  /// The revision of the specification.
  package var specRevision: Int = 0
  /// The family of the specification.
  package var familyIndicator: String = ""

  /// One with these facts.
  package init(
    manufacturer: String = "",
    vendor: String = "",
    model: Int = 0,
    firmwareVersion: UInt64 = 0,
    specRevision: Int = 0,
    familyIndicator: String = ""
  ) {
    self.manufacturer = manufacturer
    self.vendor = vendor
    self.model = model
    self.firmwareVersion = firmwareVersion
    self.specRevision = specRevision
    self.familyIndicator = familyIndicator
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Manufacturer": manufacturer = try reader.string()
      case "Vendor": vendor = try reader.string()
      case "Model": model = try reader.int()
      case "FirmwareVersion": firmwareVersion = try reader.integer()
      case "SpecRevision": specRevision = try reader.int()
      case "FamilyIndicator": familyIndicator = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Manufacturer", ifNonempty: manufacturer)
      writer.field("Vendor", ifNonempty: vendor)
      writer.field("Model", ifNonzero: model)
      writer.field("FirmwareVersion", ifNonzero: firmwareVersion)
      writer.field("SpecRevision", ifNonzero: specRevision)
      writer.field("FamilyIndicator", ifNonempty: familyIndicator)
    }
  }
}
