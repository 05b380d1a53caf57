# SPDX-License-Identifier: Apache-2.0
"""A browser without a person: it logs in at the tests' identity provider, and can misbehave on the way.

    python browser.py ADDRESS-OF-THE-LOGIN USER [FAULT]

It prints, as JSON, the status and the text of the page where it ended, and the cookies it was given.
"""
import html, http.cookiejar, json, re, sys, urllib.error, urllib.parse, urllib.request


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments): return None


class Browser:
    def __init__(self):
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), Stay())
        self.cookies = []

    def ask(self, url, fields=None, headers={}):
        body = urllib.parse.urlencode(fields).encode() if fields is not None else None
        try:
            answer = self.opener.open(urllib.request.Request(url, body, headers), timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        self.cookies += answer.headers.get_all("Set-Cookie") or []
        return answer.status, answer.headers.get("Location"), answer.read().decode(), answer.headers

    def follow(self, url):
        """The last address before a page, and the page."""
        while True:
            status, place, text, headers = self.ask(url)
            if not place:
                return url, status, text, headers
            url = urllib.parse.urljoin(url, place)


def ended(browser, status, text, **more):
    print(json.dumps({"status": status, "text": text, "cookies": browser.cookies, **more}))
    sys.exit(0)


def main(url, user, fault=""):
    browser = Browser()
    status, place, text, headers = browser.ask(url)
    if not place:
        ended(browser, status, text)
    status, back, text, _ = browser.ask(place, {"user": user})
    assert back, (status, text)
    if fault == "forged state":
        back = re.sub(r"state=[^&]*", "state=" + "A" * 43, back)
    if fault == "other browser":
        browser.jar.clear()
    status, place, text, headers = browser.ask(back)
    if fault == "replayed state":
        status, place, text, headers = browser.ask(back)
    if status != 200:
        ended(browser, status, text, sent=place)
    form = re.search(r'action="([^"]*)".*?name="token" value="([^"]*)"', text, re.S)
    action, token = urllib.parse.urljoin(url, html.unescape(form[1])), form[2]
    page = text
    if fault == "no word":
        ended(browser, status, text, policy=headers["Content-Security-Policy"])
    if fault == "forged form":
        token = "A" * 43
    if fault == "form elsewhere":
        browser.jar.clear()
    extra = {"Origin": "https://evil.example"} if fault == "foreign page" else {}
    status, place, text, headers = browser.ask(action, {"token": token}, extra)
    if fault == "replayed form":
        status, place, text, headers = browser.ask(action, {"token": token})
    ended(browser, status, text, page=page)


main(*sys.argv[1:])
