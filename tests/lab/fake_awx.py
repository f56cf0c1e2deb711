# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for AWX, which is no AWX: it keeps what it is sent and answers as AWX 24.6 does, as far as awx.awx needs it.

Every request is checked by fake_awx_rules. Nothing is ever run; see awx_job for that.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from . import fake_awx_rules as rules
from .fake_awx_rules import ENCRYPTED, Refused

_API = "/api/v2/"
# Templates of all kinds share one list of IDs, and this one address.
UNIFIED = {"job_templates": "job_template", "workflow_job_templates": "workflow_job_template", "projects": "project",
           "inventory_sources": "inventory_source"}
_LOOKUPS = {"id", "type", "name", "identifier", "page", "page_size", "order_by"}
_MACHINE = ("username", "password", "ssh_key_data", "ssh_key_unlock", "become_method", "become_username", "become_password")
_SECRET = {"password", "ssh_key_data", "ssh_key_unlock", "become_password", "token"}


_PLAY = re.compile(r"^\s*?-?\s*?(?:hosts|(ansible\.builtin\.)?import_playbook|include):\s*?.*?$")


def playbooks(project: Path) -> list[str]:
    """Return the files of a project that AWX would offer as playbooks, relative to its top."""
    files = [path.relative_to(project) for path in project.rglob("*") if path.suffix in (".yml", ".yaml")]
    return sorted(str(path) for path in files
                  if not {"roles", "tasks", "group_vars", "host_vars"} & set(path.parts)
                  and any(_PLAY.match(line) for line in (project / path).read_text().splitlines()))


class FakeAwx:
    """A server on a port of this machine, while it is entered.

    :param project: Path, what a project's repository holds, whatever its address. :param token: str, of its only account,
    admin. :param password: str, the same.
    requests holds (method, path, data) of all requests; store the objects by endpoint and ID, with their secrets.
    """

    def __init__(self, project: Path, token: str, password: str):
        self.project, self.token, self.password = project, token, password
        self.requests: list[tuple[str, str, Any]] = []
        self.store: dict[str, dict[int, dict]] = {endpoint: {} for endpoint in rules.FIELDS}
        self.lists: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[int, dict] = {}
        self.tokens: dict[int, str] = {}
        self.fetching: set[int] = set()  # new projects, until somebody asks how their first update goes
        self._lock, self._last = threading.RLock(), 0
        fake = self

        class Handler(_Handler):
            awx = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self._server.server_port
        self._furnish()

    def __enter__(self) -> FakeAwx:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _furnish(self) -> None:
        """What a new AWX has by itself."""
        self._add("organizations", {"name": "Default"})
        for name, kind, fields in (("Machine", "ssh", _MACHINE), ("Source Control", "scm", ("username", "password", "ssh_key_data")),
                                   ("Ansible Galaxy/Automation Hub API Token", "galaxy", ("url", "token"))):
            inputs = {"fields": [{"id": field, "label": field, "type": "string", "secret": field in _SECRET} for field in fields]}
            self._add("credential_types", {"name": name, "kind": kind, "inputs": inputs, "managed": True})
        galaxy = self.named("credential_types", "Ansible Galaxy/Automation Hub API Token")["id"]
        self._add("credentials", {"name": "Ansible Galaxy", "credential_type": galaxy, "inputs": {}, "managed": True})
        self._add("execution_environments", {"name": "AWX EE (latest)", "image": "quay.io/ansible/awx-ee:latest"})

    # --- what tests ask ----------------------------------------------------------------------------------------------

    def named(self, endpoint: str, name: str) -> dict:
        """Return the only object of a name."""
        found = [item for item in self.store[endpoint].values() if item.get("name", item.get("identifier")) == name]
        assert len(found) == 1, "%d of %s are named %s" % (len(found), endpoint, name)
        return found[0]

    def names(self, endpoint: str) -> list[str]:
        return sorted(item.get("name", item.get("identifier")) for item in self.store[endpoint].values() if not item.get("managed"))

    def attached(self, endpoint: str, name: str, kind: str) -> list[str]:
        """Return the names of what is attached to an object, in its order."""
        target = rules.LISTS[endpoint][kind]
        ids = self.lists.get((endpoint, self.named(endpoint, name)["id"], kind), [])
        return [self.store[target][one].get("name", self.store[target][one].get("identifier")) for one in ids]

    def writes(self) -> list[tuple[str, str, Any]]:
        return [request for request in self.requests if request[0] != "GET"]

    # --- requests ----------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict, data: Any) -> tuple[int, Any]:
        """Return the status and the body that a request gets."""
        with self._lock:
            parts = path[len(_API):].strip("/").split("/")
            endpoint, rest = parts[0], parts[1:]
            if endpoint == "ping" or endpoint == "config":
                return 200, {"version": "24.6.1"}
            if endpoint == "tokens":
                return self._tokens(method, rest, query, data)
            if endpoint == "project_updates":
                self.fetching.clear()
                return 200, {"id": int(rest[0]), "status": "successful", "finished": "now", "failed": False, "scm_revision": "1",
                             "event_processing_finished": True, "elapsed": 1, "started": "now"}
            if endpoint != "unified_job_templates" and endpoint not in self.store:
                raise Refused({"detail": "The requested resource could not be found."}, 404)
            if not rest:
                return self._collection(method, endpoint, query, data)
            item = self._item(endpoint, rest[0])
            if len(rest) == 1:
                return self._single(method, endpoint, item, data)
            return self._below(method, endpoint, item, rest[1], query, data)

    def _item(self, endpoint: str, word: str) -> dict:
        found = self._all(endpoint).get(int(word)) if word.isdigit() else None
        if found is None:
            raise Refused({"detail": "No %s matches the given query." % endpoint}, 404)
        return found

    def _all(self, endpoint: str) -> dict[int, dict]:
        if endpoint == "unified_job_templates":
            return {number: item for part in UNIFIED for number, item in self.store[part].items()}
        return self.store.get(endpoint, {})

    def _tokens(self, method: str, rest: list[str], query: dict, data: Any) -> tuple[int, Any]:
        if method == "POST":
            if set(data) - {"description", "application", "scope"} or data.get("scope", "write") not in ("read", "write"):
                raise Refused({"scope": ["Must be a simple space-separated string with allowed scopes ['read', 'write']."]})
            self._last += 1
            self.tokens[self._last] = "token %d for a password" % self._last
            return 201, dict(self._token(self._last), token=self.tokens[self._last])
        if method == "GET":
            return 200, self._page([self._token(number) for number in self.tokens if str(number) == query.get("id", str(number))])
        if self.tokens.pop(int(rest[0]), None) is None:
            raise Refused({"detail": "No OAuth2AccessToken matches the given query."}, 404)
        return 204, None

    @staticmethod
    def _token(number: int) -> dict:
        return {"id": number, "type": "o_auth2_access_token", "url": "%stokens/%d/" % (_API, number), "token": "************"}

    def _collection(self, method: str, endpoint: str, query: dict, data: Any) -> tuple[int, Any]:
        if method == "POST":
            return 201, self.shown(endpoint, self._create(endpoint, data))
        found = [item for item in self._all(endpoint).values() if self._fits(endpoint, item, query)]
        return 200, self._page([self.shown(self._home(item, endpoint), item) for item in found])

    @staticmethod
    def _page(results: list) -> dict:
        return {"count": len(results), "next": None, "previous": None, "results": results}

    def _home(self, item: dict, endpoint: str) -> str:
        """Return the endpoint that an object of a list belongs to."""
        return next(part for part in UNIFIED if item["id"] in self.store[part]) if endpoint == "unified_job_templates" else endpoint

    def _fits(self, endpoint: str, item: dict, query: dict) -> bool:
        either = []
        for key, value in query.items():
            name, _double, further = key.removeprefix("or__").partition("__")
            if name in ("page", "page_size", "order_by"):
                continue
            fields = rules.FIELDS.get(endpoint) or {"organization": None}
            if name not in _LOOKUPS and name not in fields:
                raise Refused({"detail": "%s has no field named '%s'" % (endpoint, name)})
            there = UNIFIED.get(self._home(item, endpoint)) if name == "type" else item.get(name)
            if further and there is not None:  # such as organization__name
                field = rules.FIELDS[self._home(item, endpoint)][name]
                there = self.store[field.ref or "organizations"][there].get(further)
            if key.startswith("or__"):
                either.append(str(there) == value)
            elif str(there) != value:
                return False
        return any(either) if either else True

    def _single(self, method: str, endpoint: str, item: dict, data: Any) -> tuple[int, Any]:
        endpoint = self._home(item, endpoint)
        if method == "PATCH":
            self._change(endpoint, item, data)
        elif method == "DELETE":
            self._remove(endpoint, item)
            return 204, None
        return 200, self.shown(endpoint, item)

    def _below(self, method: str, endpoint: str, item: dict, word: str, query: dict, data: Any) -> tuple[int, Any]:
        if word == "survey_spec":
            return self._survey(method, item, data)
        if word == "update" and endpoint == "projects":
            self._last += 1
            return 202, {"id": self._last, "url": "%sproject_updates/%d/" % (_API, self._last)}
        target = rules.LISTS.get(endpoint, {}).get(word)
        if target is None:
            raise Refused({"detail": "The requested resource could not be found."}, 404)
        ids = self.lists.setdefault((endpoint, item["id"], word), [])
        if method == "POST":
            self._attach(endpoint, item, word, target, ids, data)
            return 204, None
        return 200, self._page([self.shown(target, self.store[target][one]) for one in ids])

    # --- objects -----------------------------------------------------------------------------------------------------

    def _add(self, endpoint: str, fields: dict) -> dict:
        self._last += 1
        self.store[endpoint][self._last] = dict(fields, id=self._last)
        return self.store[endpoint][self._last]

    def _create(self, endpoint: str, data: Any) -> dict:
        if endpoint not in rules.FIELDS:
            raise Refused({"detail": 'Method "POST" not allowed.'}, 405)
        fields = rules.checked(endpoint, data, creating=True)
        self._check(endpoint, fields, None)
        if endpoint == "schedules":
            self._check_prompts(fields, required=True)
        item = self._add(endpoint, fields)
        if endpoint == "projects":
            self.fetching.add(item["id"])
        return item

    def _change(self, endpoint: str, item: dict, data: Any) -> None:
        if item.get("managed"):
            raise Refused({"detail": "Modifications not allowed for managed %s" % endpoint}, 403)
        fields = dict({key: value for key, value in item.items() if key in rules.FIELDS[endpoint]},
                      **rules.checked(endpoint, data, creating=False))
        for name in ("inputs", "notification_configuration"):
            if isinstance(fields.get(name), dict) and endpoint != "credential_types":
                fields[name] = {key: item[name][key] if value == ENCRYPTED and key in item[name] else value
                                for key, value in fields[name].items()}
        self._check(endpoint, fields, item)
        if endpoint == "schedules":
            self._check_prompts(fields, required=True)
        item.update(fields)

    def _check(self, endpoint: str, fields: dict, item: dict | None) -> None:
        for name, field in rules.FIELDS[endpoint].items():
            if field.ref and fields.get(name) is not None and fields[name] not in self._all(field.ref):
                raise Refused({name: ['Invalid pk "%s" - object does not exist.' % fields[name]]})
        special = getattr(self, "_check_" + endpoint, None)
        if special:
            special(fields, item)
        key = [fields.get(name) for name in rules.UNIQUE[endpoint]]
        for other in self.store[endpoint].values():
            if other is not item and [other.get(name) for name in rules.UNIQUE[endpoint]] == key:
                raise Refused({"__all__": ["%s with this %s already exists." % (endpoint, " and ".join(rules.UNIQUE[endpoint]))]})

    def _check_credential_types(self, fields: dict, item: dict | None) -> None:
        rules.check_credential_type(fields["inputs"], fields["injectors"])
        used = item and any(one["credential_type"] == item["id"] for one in self.store["credentials"].values())
        if used and fields["inputs"] != item["inputs"]:
            raise Refused({"detail": "Modifications to inputs are not allowed for credential types that are in use"}, 403)

    def _check_credentials(self, fields: dict, _item: dict | None) -> None:
        if not any(fields.get(owner) for owner in ("organization", "user", "team")):
            raise Refused({"detail": "Missing 'user', 'team', or 'organization'."})
        rules.check_inputs(self.store["credential_types"][fields["credential_type"]], fields["inputs"])

    @staticmethod
    def _check_notification_templates(fields: dict, _item: dict | None) -> None:
        fields["notification_configuration"] = rules.check_notification(
            fields["notification_type"], fields["notification_configuration"])

    @staticmethod
    def _check_projects(fields: dict, _item: dict | None) -> None:
        if fields["scm_type"] and not fields["scm_url"]:
            raise Refused({"scm_url": ["SCM URL is required."]})

    @staticmethod
    def _check_inventory_sources(fields: dict, _item: dict | None) -> None:
        if fields["source"] == "scm" and (not fields["source_project"] or not fields["source_path"]):
            raise Refused({"source_project": ["Project required for scm type sources."]})

    def _check_job_templates(self, fields: dict, _item: dict | None) -> None:
        rules.check_variables(fields["extra_vars"])
        if not fields["inventory"] and not fields["ask_inventory_on_launch"]:
            raise Refused({"inventory": ["You must either set a default value or ask to prompt on launch."]})
        project = self.store["projects"][fields["project"]]
        if not project["allow_override"] and fields["playbook"] not in playbooks(self.project):
            raise Refused({"playbook": ["Playbook not found for project."]})
        fields["organization"] = project["organization"]

    @staticmethod
    def _check_schedules(fields: dict, _item: dict | None) -> None:
        rules.check_rrule(fields["rrule"])

    def _check_workflow_job_template_nodes(self, fields: dict, _item: dict | None) -> None:
        self._check_prompts(fields, required=False)

    def _check_prompts(self, fields: dict, required: bool) -> None:
        """Raise Refused for an answer that the template does not ask for, or does not take."""
        template = self._all("unified_job_templates")[fields["unified_job_template"]]
        survey = self.surveys.get(template["id"], {}) if template.get("survey_enabled") else {}
        problems = rules.answer_problems(survey, fields["extra_data"], required)
        if problems:
            raise Refused({"variables_needed_to_start": problems})
        asked = {question["variable"] for question in survey.get("spec", [])}
        if set(fields["extra_data"]) - asked and not template.get("ask_variables_on_launch"):
            raise Refused({"extra_data": ["Variables %s are not allowed on launch." % sorted(set(fields["extra_data"]) - asked)]})
        for name in ("limit", "job_type", "verbosity", "forks", "diff_mode", "inventory"):
            if fields.get(name) is not None and not template.get("ask_%s_on_launch" % name):
                raise Refused({name: ["Field is not configured to prompt on launch."]})

    def _remove(self, endpoint: str, item: dict) -> None:
        if item.get("managed"):
            raise Refused({"detail": "Deletion not allowed for managed %s" % endpoint}, 403)
        if endpoint == "credential_types" and any(one["credential_type"] == item["id"] for one in self.store["credentials"].values()):
            raise Refused({"detail": "Credential types that are in use cannot be deleted"}, 403)
        del self.store[endpoint][item["id"]]
        for (owner, number, kind), ids in list(self.lists.items()):
            if (owner, number) == (endpoint, item["id"]):
                del self.lists[owner, number, kind]
            elif rules.LISTS[owner][kind] == endpoint and item["id"] in ids:
                ids.remove(item["id"])
        gone = {"job_templates": ("schedules", "unified_job_template"), "inventories": ("inventory_sources", "inventory"),
                "workflow_job_templates": ("workflow_job_template_nodes", "workflow_job_template")}.get(endpoint)
        for part, name in filter(None, (gone, ("schedules", "unified_job_template"))):
            for other in [one for one in self.store[part].values() if one.get(name) == item["id"]]:
                del self.store[part][other["id"]]
        for part, fields in rules.FIELDS.items():
            for name, field in fields.items():
                if field.ref in (endpoint, "unified_job_templates"):
                    for other in self.store[part].values():
                        if other.get(name) == item["id"]:
                            other[name] = None

    def _attach(self, endpoint: str, item: dict, kind: str, target: str, ids: list[int], data: Any) -> None:
        if not isinstance(data, dict) or set(data) - {"id", "disassociate"} or not rules.is_exactly(data.get("id"), int):
            raise Refused({"msg": '"id" is required to attach or detach, and nothing else: %r' % data})
        if data["id"] not in self.store.get(target, {}):
            raise Refused({"detail": "No %s matches the given query." % target}, 404)
        if data.get("disassociate"):
            ids.remove(data["id"])
            return
        other = self.store[target][data["id"]]
        if (endpoint, kind) == ("job_templates", "credentials"):
            types = [self.store[target][one]["credential_type"] for one in ids]
            credential_type = self.store["credential_types"][other["credential_type"]]
            if credential_type["id"] in types:
                raise Refused({"error": "Cannot assign multiple %s credentials." % credential_type["name"]})
            if credential_type["kind"] not in ("ssh", "vault", "cloud", "net", "kubernetes"):
                raise Refused({"error": "Cannot assign a Credential of kind `%s`." % credential_type["kind"]})
        if target == "workflow_job_template_nodes":
            self._check_edge(item, other)
        ids.append(data["id"])

    def _check_edge(self, parent: dict, child: dict) -> None:
        if parent["workflow_job_template"] != child["workflow_job_template"]:
            raise Refused({"Error": "Nodes are of different workflows."})
        pending, seen = [child["id"]], set()
        while pending:
            number = pending.pop()
            seen.add(number)
            for kind in ("success_nodes", "failure_nodes", "always_nodes"):
                pending += self.lists.get(("workflow_job_template_nodes", number, kind), [])
        if parent["id"] in seen:
            raise Refused({"Error": "Cycle detected."})
        if any(child["id"] in self.lists.get(("workflow_job_template_nodes", parent["id"], kind), [])
               for kind in ("success_nodes", "failure_nodes", "always_nodes")):
            raise Refused({"Error": "Relationship not allowed."})

    def _survey(self, method: str, item: dict, data: Any) -> tuple[int, Any]:
        if method == "POST":
            rules.check_survey(data)
            self.surveys[item["id"]] = data
            return 200, {}
        if method == "DELETE":
            self.surveys.pop(item["id"], None)
            return 200, {}
        return 200, self.surveys.get(item["id"], {})

    def shown(self, endpoint: str, item: dict) -> dict:
        """Return an object as AWX shows it, without secrets."""
        url = "%s%s/%d/" % (_API, endpoint, item["id"])
        shown = deepcopy(item)
        if endpoint == "credentials":
            secret = rules.secret_inputs(self.store["credential_types"][item["credential_type"]])
            shown["inputs"] = {key: ENCRYPTED if key in secret and value else value for key, value in item["inputs"].items()}
        if endpoint == "notification_templates":
            shown["notification_configuration"] = {
                key: ENCRYPTED if key in rules.SECRET_CONFIGURATION and value else value
                for key, value in item["notification_configuration"].items()}
        if endpoint == "projects":
            shown["scm_revision"] = "1"
        if endpoint in ("credential_types", "credentials", "execution_environments"):
            shown.setdefault("managed", False)
        kind = "inventory" if endpoint == "inventories" else endpoint.removesuffix("s")
        related = {kind_: "%s%s/" % (url, kind_) for kind_ in rules.LISTS.get(endpoint, {})}
        related.update(survey_spec=url + "survey_spec/", update=url + "update/")
        summary = {"current_update": {"id": 1}} if item["id"] in self.fetching else {}
        return dict(shown, type=kind, url=url, related=related, summary_fields=summary)


class _Handler(BaseHTTPRequestHandler):
    awx: FakeAwx
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        address = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        data = None
        try:
            if body:
                data = json.loads(body)
            self.awx.requests.append((self.command, address.path, data))
            if not self._allowed(address.path):
                raise Refused({"detail": "Authentication credentials were not provided."}, 401)
            if not address.path.startswith(_API) or not address.path.endswith("/"):
                raise Refused({"detail": "The requested resource could not be found."}, 404)
            status, answer = self.awx.answer(self.command, address.path, dict(parse_qsl(address.query, True)), data)
        except Refused as error:
            status, answer = error.status, error.body
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _allowed(self, path: str) -> bool:
        kind, _space, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            return path.startswith(_API + "tokens/") and base64.b64decode(value).decode() == "admin:" + self.awx.password
        return kind == "Bearer" and value in (self.awx.token, *self.awx.tokens.values())

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815
