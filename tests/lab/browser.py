# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses a Moodle site as a person with a browser does: logs in, and downloads stored files."""

from __future__ import annotations

import hashlib
import html
import http.client
import http.cookiejar
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request

import docker

# Prints stored files of courses as JSON. Arguments: config.php, how many.
_STORED_FILES = r"""
define('CLI_SCRIPT', true); define('ABORT_AFTER_CONFIG', true); require($argv[1]);
$info = '';
foreach (['host' => $CFG->dbhost, 'port' => $CFG->dboptions['dbport'] ?? '', 'dbname' => $CFG->dbname,
        'user' => $CFG->dbuser, 'password' => $CFG->dbpass] as $key => $value) {
    $info .= (string) $value === '' ? '' : "$key='" . addcslashes($value, "\\'") . "' ";
}
$db = pg_connect($info);
$table = pg_escape_identifier($db, "{$CFG->prefix}files");
$rows = pg_query_params($db, "SELECT contextid, component, filearea, itemid, filepath, filename, filesize, contenthash
    FROM $table WHERE component = 'mod_resource' AND filearea = 'content' AND filesize > 0 AND referencefileid IS NULL
    ORDER BY contenthash LIMIT $1", [$argv[2]]);
echo "\n@@FILES@@", json_encode(pg_fetch_all($rows));
"""


class Refused(Exception):
    """The site did not do what it should; the text says what."""


def stored_files(container: str, config: str, count: int) -> list[dict]:
    """Return rows of the files table, the same ones as long as the table is the same."""
    code, output = docker.from_env().containers.get(container).exec_run(
        ["php", "-d", "display_errors=stderr", "-r", _STORED_FILES, "--", config, str(count)], user="0", demux=True)
    _noise, found, document = (output[0] or b"").decode().rpartition("@@FILES@@")
    if code != 0 or not found:
        raise Refused("the stored files of container %s cannot be listed: %s" % (container, output))
    return json.loads(document)


class Browser:
    """A session with a site.

    :param wwwroot: the site's address. :param connect: (host, port) that is connected to in the place of wwwroot's.
    """

    def __init__(self, wwwroot: str, connect: tuple[str, int] | None = None):
        self.wwwroot = wwwroot.rstrip("/")
        self._key = ""  # of the session
        handlers = [urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), _NoRedirect(),
                    urllib.request.ProxyHandler({})]
        if connect:
            handlers.append(_ConnectTo(connect))
        self._opener = urllib.request.build_opener(*handlers)

    def request(self, url: str, form: dict | None = None, file: tuple[str, bytes] | None = None):
        """Return (status, headers, body as bytes). A redirect is an answer like any other.

        :param file: (name, content), uploaded with the form as "file".
        """
        request = urllib.request.Request(urllib.parse.urljoin(self.wwwroot + "/", url))
        if file is not None:
            request.data, kind = _multipart(form or {}, *file)
            request.add_header("Content-Type", kind)
        elif form is not None:
            request.data = urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(request, timeout=120) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def login(self, user: str, password: str) -> str:
        """Log in; return the title (str) of the page that follows. :raises: Refused."""
        status, _headers, body = self.request("%s/login/index.php" % self.wwwroot)
        token = re.search(rb'name="logintoken" value="([^"]+)"', body)
        if status != 200 or not token:
            raise Refused("the login page answers with %d and %s login form" % (status, "a" if token else "no"))
        form = {"anchor": "", "logintoken": token[1].decode(), "username": user, "password": password}
        status, headers, _body = self.request("%s/login/index.php" % self.wwwroot, form)
        place = headers.get("Location") or ""
        # A wrong password is answered with 303, too, but to another place.
        if status != 303 or "testsession=" not in place:
            raise Refused("the login of '%s' is answered with %d %s" % (user, status, place))
        status, headers, _body = self.request(place)
        status, _headers, body = self.request("%s/my/" % self.wwwroot)
        key = re.search(rb'"sesskey":"([^"]+)"', body)
        if status != 200 or not key:
            raise Refused("the page after the login of '%s' answers with %d" % (user, status))
        self._key = key[1].decode()
        title = re.search(rb"<title>(.*?)</title>", body, re.S)
        return html.unescape(title[1].decode().strip()) if title else ""

    def download(self, row: dict) -> tuple[int, str]:
        """Download a stored file; return the status (int) and the SHA-1 (str) of what came.

        :param row: as stored_files() gives.
        """
        path = "/%(contextid)s/%(component)s/%(filearea)s/%(itemid)s%(filepath)s%(filename)s" % row
        url = "%s/pluginfile.php%s?forcedownload=1" % (self.wwwroot, urllib.parse.quote(path))
        status, _headers, body = self.request(url)
        return status, hashlib.sha1(body).hexdigest()

    def upload(self, name: str, content: bytes) -> dict:
        """Store a file on the stand-in site, once logged in; return what it says of it (id, contenthash, url)."""
        return self._own("upload", {"sesskey": self._key}, (name, content))

    def delete(self, number: int) -> None:
        """Delete a file of the stand-in site by its id."""
        self._own("delete", {"sesskey": self._key, "id": number})

    def _own(self, page: str, form: dict, file: tuple[str, bytes] | None = None) -> dict:
        status, _headers, body = self.request("%s/local/moodleclaude/%s.php" % (self.wwwroot, page), form, file)
        if status != 200:
            raise Refused("%s is answered with %d %s" % (page, status, body[:200].decode(errors="replace")))
        return json.loads(body)


def _multipart(form: dict, name: str, content: bytes) -> tuple[bytes, str]:
    """Return the body and the type of a form with a file."""
    boundary = "mcb" + hashlib.sha1(content).hexdigest()
    parts = [b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary.encode(), key.encode(), str(value).encode())
             for key, value in form.items()]
    parts.append(b'--%b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n--%b--\r\n'
                 % (boundary.encode(), name.encode(), content, boundary.encode()))
    return b"".join(parts), "multipart/form-data; boundary=%s" % boundary


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments):
        return None


class _ConnectTo(urllib.request.HTTPHandler):
    def __init__(self, place: tuple[str, int]):
        super().__init__()
        self._place = place

    def http_open(self, req):
        place = self._place

        class Connection(http.client.HTTPConnection):
            def connect(self):
                self.sock = socket.create_connection(place, self.timeout)

        return self.do_open(Connection, req)


def prove(browser: Browser, user: str, password: str, rows: list[dict]) -> dict:
    """Show that the site lets the right person in, nobody else, and gives out the files that it stored.

    :returns: {"title", "files", "bytes"}. :raises: Refused.
    """
    if not rows:
        raise Refused("the site has no stored file of a course, so there is nothing to prove")
    try:
        browser.login(user, password + "x")
    except Refused:
        pass
    else:
        raise Refused("the site lets '%s' in with a wrong password" % user)
    if browser.download(rows[0])[0] == 200:
        raise Refused("the site gives the file %s to a person who is not logged in" % rows[0]["filename"])
    title = browser.login(user, password)
    for row in rows:
        answer = browser.download(row)
        if answer != (200, row["contenthash"]):
            raise Refused("the file %s answers with %d %s; it is %s" % (row["filename"], *answer, row["contenthash"]))
    return {"title": title, "files": len(rows), "bytes": sum(int(row["filesize"]) for row in rows)}
