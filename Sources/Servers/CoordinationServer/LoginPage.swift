// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Coordination
internal import Keys

/// The page that a person sees who follows the address that a machine printed.
///
/// Without an identity provider it says which command an administrator runs. It has no button then:
/// whoever holds the address can read what a machine calls itself, and let nothing in. With one, the
/// button comes after the person has logged in.
enum LoginPage {
  /// No script, no frame, nothing from elsewhere, and no form but where the person is asked; only
  /// the style below.
  static func securityPolicy(mayPost: Bool) -> String {
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
      + "form-action \(mayPost ? "'self'" : "'none'")"
  }

  static func waiting(_ login: LoginRequest) -> String {
    // What stands in a command to be copied is a tag and nothing else.
    let tags = login.requestedTags.filter(Tag.isTag)
    let tagOption = tags.isEmpty ? "" : " --tags \(tags.joined(separator: ","))"
    return page(
      "A machine asks to join",
      """
      \(facts(login))
      <p>If you know this machine, have an administrator run, where the server runs:</p>
      <pre>martlet-control auth approve\(escaped(tagOption)) \(login.id)</pre>
      <p>If you do not know it:</p>
      <pre>martlet-control auth reject \(login.id)</pre>
      <p>More than one user? Say whose machine it is with <code>--user NAME</code>.</p>
      """
    )
  }

  /// What a machine says of itself.
  private static func facts(_ login: LoginRequest) -> String {
    let facts = [
      ("Machine", NodeName.printable(login.hostinfo.hostname)),
      ("System", NodeName.printable(login.hostinfo.os)),
      ("Machine key", login.machineKey.short),
      ("Asks for tags", login.requestedTags.filter(Tag.isTag).joined(separator: ", ")),
    ].filter { !$0.1.isEmpty }
    let rows = facts.map { "<dt>\(escaped($0.0))</dt><dd>\(escaped($0.1))</dd>" }.joined()
    return "<dl>\(rows)</dl>"
  }

  /// Asks a person who has logged in whether the machine is theirs.
  static func confirming(_ login: LoginRequest, as person: String, form: String) -> String {
    page(
      "Is this machine yours?",
      """
      \(facts(login))
      <p>You are logged in as <strong>\(escaped(NodeName.printable(person)))</strong>. The machine
      will reach everything that you may reach. If you did not start this yourself, close the page.</p>
      <form method="post" action="/register/confirm/\(login.id)">
      <input type="hidden" name="token" value="\(escaped(form))">
      <button>Let it join</button>
      </form>
      """
    )
  }

  /// A session waits.
  static func checking(_ check: SessionCheck, _ facts: (source: String, target: String)) -> String {
    page(
      "A session waits for its user",
      """
      \(self.facts(check, facts))
      <p>If it is yours, have an administrator run, where the server runs:</p>
      <pre>martlet-control auth approve \(check.id)</pre>
      <p>If it is not:</p>
      <pre>martlet-control auth reject \(check.id)</pre>
      """
    )
  }

  private static func facts(
    _ check: SessionCheck,
    _ names: (source: String, target: String)
  ) -> String {
    "<dl><dt>From</dt><dd>\(escaped(names.source))</dd><dt>To</dt><dd>\(escaped(names.target))</dd>"
      + "<dt>As</dt><dd>\(escaped(NodeName.printable(check.login)))</dd></dl>"
  }

  /// Asks a person who has logged in whether a session is theirs.
  static func confirming(
    _ check: SessionCheck,
    _ names: (source: String, target: String),
    form: String
  ) -> String {
    page(
      "Is this session yours?",
      """
      \(facts(check, names))
      <p>If you did not start it yourself, close the page.</p>
      <form method="post" action="/auth/confirm/\(check.id)">
      <input type="hidden" name="token" value="\(escaped(form))">
      <button>Let it pass</button>
      </form>
      """
    )
  }

  /// A machine is in.
  static func joined(_ node: NodeRecord) -> String {
    page(
      "Done",
      "<p>\(escaped(node.name)) has joined. You can close this page.</p>"
        + (node.isAuthorized ? "" : "<p>It waits for an administrator's approval now.</p>")
    )
  }

  /// A few words.
  static func message(_ title: String, _ words: String) -> String {
    page(title, "<p>\(escaped(words))</p>")
  }

  static func decided(_ verdict: LoginRequest.Verdict) -> String {
    switch verdict {
    case .rejected: page("Rejected", "<p>An administrator rejected this login.</p>")
    default: page("Done", "<p>This machine has joined. You can close this page.</p>")
    }
  }

  static let unknown = page(
    "Nothing waits here",
    "<p>This login is unknown or has expired. Start it again on the machine.</p>"
  )

  /// Text as it stands in a page, whatever it holds.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  private static func page(_ title: String, _ body: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>\(escaped(title)) - Martlet</title>
    <style>
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
    pre { background: #eee; color: #111; padding: .75rem; overflow-x: auto; border-radius: .25rem }
    dt { font-weight: 600 } dd { margin: 0 0 .5rem }
    </style>
    <h1>\(escaped(title))</h1>
    \(body)
    </html>

    """
  }
}
