# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between AnsibleModule and everything below it."""
from __future__ import annotations

import importlib.util
import os
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.errors import AnsibleFallbackNotFound

from . import _lock
from ._errors import BackupError, StorageError


def _environment(name):
    """Return a variable of the environment (str), for the options that are not given. Empty is the same as not set."""
    if not os.environ.get(name):
        raise AnsibleFallbackNotFound
    return os.environ[name]


def _in_cert_path(name):
    """Return the path of a file (str) where Docker's own programs look for it when they are told to use TLS.

    A folder may hold just the authority's certificate. One that does not exist is named in an error later.
    """
    if not os.environ.get("DOCKER_TLS_VERIFY"):
        raise AnsibleFallbackNotFound
    folder = _environment("DOCKER_CERT_PATH")
    path = os.path.join(folder, name)
    if os.path.isdir(folder) and not os.path.lexists(path):
        raise AnsibleFallbackNotFound
    return path


# Kept in step with plugins/doc_fragments/docker.py.
DOCKER_OPTIONS = {
    "docker_host": {
        "type": "str",
        "default": "unix:///var/run/docker.sock",
        "fallback": (_environment, ["DOCKER_HOST"]),
        "aliases": ["docker_url"],
    },
    "tls": {"type": "bool", "default": False, "fallback": (_environment, ["DOCKER_TLS"])},
    "validate_certs": {
        "type": "bool",
        "default": False,
        "fallback": (_environment, ["DOCKER_TLS_VERIFY"]),
        "aliases": ["tls_verify"],
    },
    "tls_hostname": {"type": "str", "fallback": (_environment, ["DOCKER_TLS_HOSTNAME"])},
    "ca_path": {
        "type": "path",
        "fallback": (_in_cert_path, ["ca.pem"]),
        "aliases": ["ca_cert", "tls_ca_cert", "cacert_path"],
    },
    "client_cert": {
        "type": "path", "fallback": (_in_cert_path, ["cert.pem"]), "aliases": ["tls_client_cert", "cert_path"],
    },
    "client_key": {
        "type": "path", "fallback": (_in_cert_path, ["key.pem"]), "aliases": ["tls_client_key", "key_path"],
    },
    "timeout": {"type": "int", "default": 600, "fallback": (_environment, ["DOCKER_TIMEOUT"])},
}


def build_module(argument_spec, docker=True, kind=AnsibleModule, **kwargs):
    """Build the AnsibleModule of one of our modules.

    :param argument_spec: dict as AnsibleModule takes it; the Docker connection options are added when docker is true.
    :param docker: bool, whether the module talks to the Docker Engine; then a missing Docker SDK ends the module.
        (One that is there but cannot be loaded is an error when something is asked of the engine.)
    :param kind: the class, AnsibleModule or one made from it.
    :param kwargs: passed to AnsibleModule (supports_check_mode, required_one_of, ...).
    """
    spec = dict(DOCKER_OPTIONS) if docker else {}
    spec.update(argument_spec)
    module = kind(argument_spec=spec, **kwargs)
    os.umask(0o077)
    # Child processes must speak plain English and sort bytewise, whatever the operator's locale is.
    os.environ["LC_ALL"] = "C"
    _lock.hold_from_environment()
    if docker:
        _require_sdk(module)
    return module


def _require_sdk(module):
    """End the module if the Docker SDK for Python is missing."""
    if importlib.util.find_spec("docker") is None:
        module.fail_json(
            msg="%s The playbook moodleclaude.backup.prepare installs it." % missing_required_lib("docker"))


def run_call(call, kind=AnsibleModule):
    """Be the module that does one call (_call.Call). kind: see build_module()."""
    from ._docker import Engine

    module = build_module(call.options, kind=kind, supports_check_mode=True, **call.rules)
    run(module, lambda: call.work(Engine(module.params), module.params, module.check_mode, module._diff))


def run(module, work):
    """Call work() and end the module with its result.

    :param module: AnsibleModule.
    :param work: function without arguments; returns the dict for exit_json (with "changed", and "warnings" as a list
        of str when there are any) or raises BackupError.
    """
    try:
        result = work()
    except BackupError as error:
        module.fail_json(msg=error.describe(), **error.details)
    except OSError as error:
        described = StorageError("%s: %s" % (error.filename or "input/output", error.strerror or error))
        module.fail_json(msg=described.describe(), exception=traceback.format_exc())
    for warning in result.pop("warnings", None) or []:
        module.warn(warning)
    _lock.touch_from_environment()
    module.exit_json(**result)
