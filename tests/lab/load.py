# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People who use a site all the time."""

from __future__ import annotations

import collections
import hashlib
import os
import threading
import time

from .browser import Browser, stored_files
from .site import Site

_LIFETIME = 4  # seconds between the upload of a file and its deletion
_DUE = "UPDATE %stask_scheduled SET nextruntime = 0 WHERE classname LIKE '%%file_trash_cleanup_task'"


class Load:
    """While it is entered, somebody looks at pages, somebody uploads files and deletes them, and cron empties the trash.

    errors: a line for each answer that was not as it should be; done: how often what was done (Counter).
    """

    def __init__(self, site: Site):
        self._site = site
        self._ended = threading.Event()
        self._rows = stored_files(site.web, "%s/config.php" % site.code_path, 5)
        self.errors: list[str] = []
        self.done: collections.Counter[str] = collections.Counter()
        self._threads = [threading.Thread(target=self._repeat, args=(work, pause))
                         for work, pause in ((self._reader(), 0.05), (self._writer(), 0.1), (self._cron(), 0.2))]

    def __enter__(self) -> Load:
        # A site that waits for an upgrade runs no cron.
        self._site.php("admin/cli/upgrade.php", "--non-interactive")
        # From now on everything that was deleted is gone for good the next time cron runs.
        self._site.php("admin/cli/cfg.php", "--name=filescleanupperiod", "--set=0")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work, pause: float) -> None:
        """Go through the steps of a generator; each gives what was done, or a problem."""
        while not self._ended.wait(pause):
            try:
                what, problem = next(work)
            except Exception as error:  # a refused connection is as bad as a wrong answer
                self.errors.append("%s: %s" % (type(error).__name__, error))
                return
            self.done[what] += 1
            if problem:
                self.errors.append("%s: %s" % (what, problem))

    def _browser(self) -> Browser:
        browser = Browser(self._site.address())
        browser.login("admin", self._site.admin_password)
        return browser

    def _reader(self):
        browser = self._browser()
        while True:
            for row in self._rows:
                status, _headers, body = browser.request("/my/")
                yield "page", None if status == 200 and b'"sesskey"' in body else "%d %r" % (status, body[:200])
                answer = browser.download(row)
                yield "download", None if answer == (200, row["contenthash"]) else "%d %s" % answer

    def _writer(self):
        browser, live = self._browser(), collections.deque()
        for number in range(10**6):
            content = os.urandom(2000 + number % 7 * 1000)
            file = browser.upload("load %d %s" % (number, os.urandom(4).hex()), content)
            live.append((time.monotonic(), file["id"]))
            yield "upload", None if file["contenthash"] == hashlib.sha1(content).hexdigest() else str(file)
            status, _headers, body = browser.request(file["url"])
            yield "look", None if (status, body) == (200, content) else "%d %r" % (status, body[:200])
            while live and live[0][0] < time.monotonic() - _LIFETIME:
                browser.delete(live.popleft()[1])
                yield "delete", None

    def _cron(self):
        while True:
            self._site.sql(_DUE % self._site.prefix)
            output = self._site.php("admin/cli/cron.php")
            yield "cron", None if "Cron run completed." in output else output
