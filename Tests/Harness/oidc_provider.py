# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider made of authlib, for the tests; run by the Python that has it.

    python oidc_provider.py ADDRESS PORT ALGORITHM

It knows the users below; who logs in is the field `user` of its form. What it does wrong is said by
`POST /fault` with the name of a fault, and `POST /rotate` gives it another key.
"""
import os, secrets, sys, time

# The laboratory's network is its own; nobody reads along.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from joserfc.jwk import ECKey, RSAKey

ADDRESS, PORT, ALGORITHM = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ISSUER = f"http://{ADDRESS}:{PORT}"
CLIENT, SECRET = "martlet", "a secret/with+odd:characters"
USERS = {
    "alice": {"email": "alice@lab.example", "email_verified": True, "name": "Alice A.", "groups": ["eng", "all"],
              "preferred_username": "alice"},
    "bob": {"email": "bob@lab.example", "email_verified": "true", "name": "Bob <b>", "groups": "ops",
            "preferred_username": "alice"},
    "mallory": {"email": "alice@lab.example", "email_verified": False, "name": "Mallory", "groups": ["eng"]},
    "eve": {"email": "eve@evil.example", "email_verified": True, "name": "Eve", "groups": ["eng"]},
    "zoe": {"email": "zoe@lab.example", "email_verified": True, "name": "Zoe", "groups": ["guests"]},
}
state = {"fault": "", "codes": {}, "tokens": {}, "keys": []}


def rotate():
    name = secrets.token_hex(4)
    parameters = {"kid": name, "use": "sig", "alg": ALGORITHM}
    key = RSAKey.generate_key(2048, parameters) if ALGORITHM == "RS256" else ECKey.generate_key("P-256", parameters)
    state["keys"] = [key]


class Client(ClientMixin):
    def get_client_id(self): return CLIENT
    def get_default_redirect_uri(self): return None
    def get_allowed_scope(self, scope): return scope
    def check_redirect_uri(self, redirect_uri): return redirect_uri.endswith("/oidc/callback")
    def check_client_secret(self, client_secret): return client_secret == SECRET
    def check_endpoint_auth_method(self, method, endpoint): return method == "client_secret_basic"
    def check_response_type(self, response_type): return response_type == "code"
    def check_grant_type(self, grant_type): return grant_type == "authorization_code"


class Person:
    def __init__(self, name): self.name = name
    def get_user_id(self): return self.name


class Code(AuthorizationCodeMixin):
    def __init__(self, code, person, payload):
        data = payload.data
        self.code, self.person, self.nonce = code, person, data.get("nonce")
        self.redirect_uri, self.scope = payload.redirect_uri, payload.scope
        self.code_challenge, self.code_challenge_method = data.get("code_challenge"), data.get("code_challenge_method")

    def get_redirect_uri(self): return self.redirect_uri
    def get_scope(self): return self.scope
    def get_nonce(self): return "another" if state["fault"] == "nonce" else self.nonce
    def get_auth_time(self): return int(time.time())
    def get_acr(self): return None
    def get_amr(self): return None


class Token(TokenMixin):
    def __init__(self, person, scope): self.person, self.scope = person, scope
    def is_expired(self): return False
    def is_revoked(self): return False
    def get_scope(self): return self.scope


class Grant(AuthorizationCodeGrant):
    def save_authorization_code(self, code, request):
        state["codes"][code] = Code(code, request.user, request.payload)

    def query_authorization_code(self, code, client): return state["codes"].get(code)
    def delete_authorization_code(self, code): state["codes"].pop(code.code, None)
    def authenticate_user(self, code): return code.person


class Challenge(CodeChallenge):
    """As strict as it may be: no login without a hashed challenge."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant, redirect_uri):
        super().validate_code_challenge(grant, redirect_uri)
        assert grant.request.payload.data.get("code_challenge_method") == "S256", "no challenge"


class Identity(OpenIDCode):
    def exists_nonce(self, nonce, request): return False
    def get_client_algorithm(self, client): return ALGORITHM
    def get_encode_header(self, client): return {"alg": ALGORITHM, "kid": state["keys"][0].kid}
    def resolve_client_private_key(self, client): return state["keys"][0]

    def get_compatible_claims(self, request):
        fault, now = state["fault"], int(time.time())
        end = now - 3600 if fault == "expired" else now + 900
        return {"iss": "http://other.example" if fault == "issuer" else ISSUER,
                "aud": ["somebody"] if fault == "audience" else [CLIENT], "iat": now - (7200 if fault == "expired" else 0),
                "exp": end}

    def generate_user_info(self, user, scope):
        # The groups are told by the other endpoint only, as some providers do.
        return {"sub": user.name, **{name: value for name, value in USERS[user.name].items() if name != "groups"}}

    def encode_id_token(self, token, request):
        text = super().encode_id_token(token, request)
        header, claims, signature = text.split(".")
        if state["fault"] == "signature":
            claims = super().encode_id_token(token, request).split(".")[1][:-4] + claims[-4:]
            signature = ("A" if signature[0] != "A" else "B") + signature[1:]
        if state["fault"] == "none":
            header, signature = "eyJhbGciOiJub25lIn0", ""
        return ".".join((header, claims, signature))


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string): return state["tokens"].get(token_string)


application = flask.Flask(__name__)
application.secret_key = secrets.token_bytes(16)
server = AuthorizationServer(
    application, query_client=lambda name: Client() if name == CLIENT else None,
    save_token=lambda token, request: state["tokens"].__setitem__(token["access_token"], Token(request.user, token["scope"])))
server.register_grant(Grant, [Identity(require_nonce=True), Challenge(required=True)])
protector = ResourceProtector()
protector.register_token_validator(Validator())
rotate()


@application.get("/.well-known/openid-configuration")
def discovery():
    return {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/login", "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys", "userinfo_endpoint": f"{ISSUER}/userinfo",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM], "code_challenge_methods_supported": ["S256"]}


@application.get("/keys")
def keys():
    return {"keys": [key.as_dict(private=False) for key in state["keys"]]}


@application.route("/login", methods=["GET", "POST"])
def login():
    if flask.request.method == "GET":
        return "<form method=post><input name=user></form>"
    return server.create_authorization_response(grant_user=Person(flask.request.form["user"]))


@application.post("/token")
def token():
    return server.create_token_response()


@application.get("/userinfo")
@protector()
def userinfo():
    from authlib.integrations.flask_oauth2 import current_token
    name = current_token.person.name
    return {"sub": "somebody" if state["fault"] == "userinfo" else name, "groups": USERS[name]["groups"]}


@application.post("/rotate")
def rotation():
    rotate()
    return {}


@application.post("/fault")
def fault():
    state["fault"] = flask.request.form["name"]
    return {}


application.run(host=ADDRESS, port=PORT, threaded=True)
