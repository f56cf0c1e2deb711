# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between AnsibleModule and everything below it."""
from __future__ import annotations

import importlib.util
import os
import traceback

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from . import _lock
from ._errors import BackupError, StorageError

# Kept in step with plugins/doc_fragments/docker.py.
DOCKER_OPTIONS = {
    "docker_host": {
        "type": "str",
        "default": "unix:///var/run/docker.sock",
        "fallback": (env_fallback, ["DOCKER_HOST"]),
        "aliases": ["docker_url"],
    },
    "tls": {"type": "bool", "default": False, "fallback": (env_fallback, ["DOCKER_TLS"])},
    "validate_certs": {
        "type": "bool",
        "default": False,
        "fallback": (env_fallback, ["DOCKER_TLS_VERIFY"]),
        "aliases": ["tls_verify"],
    },
    "ca_path": {"type": "path", "aliases": ["ca_cert", "tls_ca_cert", "cacert_path"]},
    "client_cert": {"type": "path", "aliases": ["tls_client_cert", "cert_path"]},
    "client_key": {"type": "path", "aliases": ["tls_client_key", "key_path"]},
    "timeout": {"type": "int", "default": 600, "fallback": (env_fallback, ["DOCKER_TIMEOUT"])},
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
    if docker and importlib.util.find_spec("docker") is None:
        module.fail_json(msg=missing_required_lib("docker"))
    return module


def run_call(call):
    """Be the module that does one call (_call.Call)."""
    from ._docker import Engine

    module = build_module(call.options, supports_check_mode=True, **call.rules)
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
