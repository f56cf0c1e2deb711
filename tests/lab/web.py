# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses a Moodle site as a browser does."""

from __future__ import annotations

import hashlib
import http.cookiejar
import re
import urllib.parse
import urllib.request


def visit(address: str, username: str, password: str, stored: list) -> str:
    """Log in and download a stored file.

    :param stored: contextid, component, filearea, itemid, filepath, filename, contenthash, as in the table files.
    :returns: what was seen. :raises: RuntimeError, urllib.error.URLError.
    """
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = browser.open("%s/login/index.php" % address, timeout=30).read().decode()
    form = {"logintoken": re.search('name="logintoken" value="([^"]+)"', page).group(1), "anchor": "",
            "username": username, "password": password}
    answer = browser.open("%s/login/index.php" % address, urllib.parse.urlencode(form).encode(), timeout=30)
    page = answer.read().decode()
    if not urllib.parse.urlsplit(answer.url).path.endswith("/my/") or '"sesskey"' not in page:
        raise RuntimeError("%s logged nobody in: %s" % (address, answer.url))
    context, component, area, item, folder, name, digest = stored
    path = "/%s/%s/%s/%s%s%s" % (context, component, area, item, folder, name)
    content = browser.open("%s/pluginfile.php%s?forcedownload=1" % (address, urllib.parse.quote(path)), timeout=30).read()
    found = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    if found != digest:
        raise RuntimeError("%s has the SHA-1 %s instead of %s" % (path, found, digest))
    return "logged in as %s; %s has the right SHA-1" % (username, path)
