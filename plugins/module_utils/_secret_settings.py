# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which settings of a config.php may be secret, and how they are shown. Pure.

Nobody knows all settings that plugins have, so a setting is shown only if it is known to be harmless.
"""
from __future__ import annotations

from ansible.module_utils.common.validation import check_type_dict

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # as Ansible itself writes it
# Settings of Moodle's config-dist.php that a restored site may need to have otherwise. Their values hold no password.
HARMLESS = frozenset([
    "admin", "alternative_component_cache", "alternative_file_system_class", "aspellpath", "backuptempdir", "cachedir",
    "cookiehttponly", "cookiesecure", "cron_enabled", "cronclionly", "dataroot", "dbhost", "dblibrary", "dbname",
    "dbtype", "dbuser", "debug", "debugdisplay", "debugstringids", "directorypermissions", "disableonclickaddoninstall",
    "disableupdateautodeploy", "disableupdatenotifications", "divertallemailsexcept", "divertallemailsto",
    "file_lock_root", "filedir", "filepermissions", "getremoteaddrconf", "lang", "langlocalroot", "langotherroot",
    "localcachedir", "localrequestdir", "lock_factory", "loginhttps", "noemailever", "noreplyaddress", "pathtodot",
    "pathtodu", "pathtogs", "pathtophp", "perfdebug", "prefix", "preventexecpath", "proxybypass", "proxyhost",
    "proxyport", "proxytype", "reverseproxy", "reverseproxyignore", "session_file_save_path", "session_handler_class",
    "sessioncookie", "sessiontimeout", "skiplangupgrade", "slasharguments", "smtphosts", "smtpsecure", "sslproxy",
    "supportemail", "tempdir", "theme", "themedesignermode", "timezone", "trashdir", "wwwroot", "xsendfile",
])
# What is hidden is replaced wherever it stands, so a value such as "1" or "yes" would make holes in everything.
SHORTEST = 4


def secret_texts(settings):
    """Return the texts that must not be shown anywhere (set of str).

    They are the texts of at least SHORTEST characters among the values of settings that are not known to be harmless.

    :param settings: what somebody has given as settings: a dict, text that can be read as one, or anything else by
        mistake; then all of it is secret.
    """
    known = _as_dict(settings)
    if known is None:
        return set(_long_texts(settings))
    return {text for name, value in known.items() if name not in HARMLESS for text in _long_texts(value)}


def shown(settings):
    """Return settings (see secret_texts()) as they may be shown: each with its name, those that may be secret without
    their value, whatever it is."""
    known = _as_dict(settings)
    if known is None:
        return None if settings is None else HIDDEN
    return {name: value if name in HARMLESS else HIDDEN for name, value in known.items()}


def _as_dict(settings):
    """Return settings as AnsibleModule would take them (dict), or None if it would not."""
    try:
        return check_type_dict(settings)
    except (TypeError, ValueError):
        return None


def _long_texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):  # by mistake; a setting is one value
        return [text for item in value for text in _long_texts(item)]
    return [value] if isinstance(value, str) and len(value) >= SHORTEST else []
