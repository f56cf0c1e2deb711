# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Sphinx, which builds the web site; tests/tools/docs calls it. Nothing is fetched from anywhere."""
from __future__ import annotations

import posixpath
import re
from pathlib import Path

import yaml
from docutils import nodes

GALAXY = yaml.safe_load((Path(__file__).resolve().parents[1] / "galaxy.yml").read_text(encoding="utf-8"))
ANSIBLE = "https://docs.ansible.com/ansible/latest"
# Pages of Ansible's own documentation that the generated reference points to.
PAGES = {
    "common_return_values": "reference_appendices/common_return_values",
    "ansible_configuration_settings": "reference_appendices/config",
    "action_plugins": "plugins/action",
}

project = "moodleclaude.backup"
author = "MoodleClaude contributors"
copyright = "2026, %s" % author  # pylint: disable=redefined-builtin
version = release = GALAXY["version"]
extensions = ["myst_parser", "sphinx_antsibull_ext"]
exclude_patterns = ["docsite"]
html_theme = "furo"
html_title = "%s %s" % (project, version)
html_copy_source = False
myst_heading_anchors = 4


def link_out(app, docname, source):
    """Let links to files of the repository that are no pages lead to the repository, if that has an address."""

    def replace(match):
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(docname), target))
        if not path.startswith("../"):
            return match.group(0)
        if not GALAXY.get("repository"):
            return text
        return "[%s](%s/blob/main/%s)" % (text, GALAXY["repository"].rstrip("/"), path[3:])

    source[0] = re.sub(r"(?<!!)\[([^]]+)\]\((\.\.?/[^)]+)\)", replace, source[0])


def leave_out_missing(app, docname, source):
    """Leave out patterns of a table of contents that stand for pages which are not there yet."""

    def keep(match):
        return match.group(0) if any(page.startswith(match.group(1)) for page in app.env.found_docs) else ""

    source[0] = re.sub(r"(?m)^([\w/-]+)\*\n", keep, source[0])


def resolve_ansible(app, env, node, contnode):
    """Let references to Ansible, and to plugins of other collections, lead to Ansible's own documentation."""
    target = node.get("reftarget", "")
    pattern = r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|role|filter|lookup)"
    found = re.fullmatch(pattern, target)
    if target in PAGES:
        page = PAGES[target]
    elif found and found.group(1) + "." + found.group(2) != project:
        page = "collections/%s/%s/%s_%s" % found.groups()
    else:
        return None
    return nodes.reference("", "", contnode, internal=False, refuri="%s/%s.html" % (ANSIBLE, page))


def setup(app):
    app.connect("source-read", link_out)
    app.connect("source-read", leave_out_missing)
    app.connect("missing-reference", resolve_ansible)
