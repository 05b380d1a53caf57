// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol

/// What follows from the answer to a registration.
package enum RegistrationOutcome: Hashable, Sendable {
  /// The key is registered: follow the map.
  case authorised(Account)
  /// The key is registered, but somebody has to let the machine in: the map will tell when.
  case awaitsApproval(Account)
  /// A person has to open this page; ask again at once, the server waits with its answer.
  case needsLogin(LoginPage)
  /// The page is still the same: ask again after a while.
  case stillNeedsLogin(LoginPage)
  /// The key has ended: make another and `renew` with it.
  case needsNewKey
  /// The server does not want this node, for this reason.
  case refused(String)
}

/// Whose node this is.
package struct Account: Hashable, Sendable {
  /// The owner.
  package var user: RegisterUser
  /// How the owner logged in.
  package var login: RegisterLogin

  /// The account of `user`.
  package init(user: RegisterUser, login: RegisterLogin) {
    (self.user, self.login) = (user, login)
  }

  /// The account as a profile.
  package var profile: UserProfile {
    UserProfile(
      id: user.id != 0 ? user.id : login.id,
      loginName: login.loginName,
      displayName: user.displayName.isEmpty ? login.displayName : user.displayName,
      profilePicURL: user.profilePicURL.isEmpty ? login.profilePicURL : user.profilePicURL
    )
  }
}
