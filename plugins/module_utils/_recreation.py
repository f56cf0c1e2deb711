# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates recorded containers again, with their networks and volumes, in the phases of a transaction.

What the engine was like before is kept in the engine: the old container under the name <name>_mb_<transaction>_old, and
an empty marker volume for each container and network that the transaction touches, which says whether it was there.
"""
from __future__ import annotations

import contextlib
import hashlib
import json

from . import _definition
from ._containers import container_names, find_exact
from ._errors import BackupError, EngineError, ExistsError, IntegrityError, NotFoundError, UsageError
from ._recreation_checks import check_address, check_image, check_ports, missing_binds, overlapping

_LABEL = "org.moodleclaude.backup."


class Recreation:
    """One transaction on one engine. The methods are the phases; what they did is collected for result()."""

    def __init__(self, engine, transaction, check_mode):
        self.engine = engine
        self.transaction = transaction
        self.check_mode = check_mode
        self.stop_timeout = 30
        self.images_may_come = check_mode
        self.definitions = {}
        self._record = {}
        self._recreate = self._ready = ()
        self._order = []
        self._actions, self._warnings = [], []
        self._differences = {}
        self._missing_binds = []
        self._absent = []
        self._moved = {}

    def result(self):
        """Return what was done, or would be done, as a dict for exit_json."""
        lines = "".join(action + "\n" for action in self._actions)
        for name, fields in sorted(self._differences.items()):
            lines += "container %s differs in: %s\n" % (name, ", ".join(fields))
        return {
            "changed": bool(self._actions),
            "transaction": self.transaction,
            "actions": self._actions,
            "differences": self._differences,
            "absent": self._absent,
            "moved": self._moved,
            "missing_binds": self._missing_binds,
            "warnings": self._warnings,
            "diff": {"before": "", "after": lines},
        }

    def _do(self, text, function, *args):
        """Note a change and, unless in check mode, make it."""
        self._actions.append(text)
        return None if self.check_mode else function(*args)

    # --- what is wanted -------------------------------------------------------------------------------------------

    def read(self, content, subset, recreate, ready=(), started=None):
        """Take what is recorded (dict as _containers.load gives), or some containers of it (list of names or None).

        :param started: list of names of the containers that count as running, or None: as recorded.
        """
        wanted = set(subset or ()).union(recreate, ready, started or ())
        unknown = sorted(wanted - set(content["containers"]))
        if unknown:
            raise NotFoundError("The record does not describe %s" % ", ".join(unknown),
                                "It has: %s." % ", ".join(sorted(content["containers"])))
        chosen = content["containers"] if subset is None else subset
        self.definitions = {name: content["containers"][name]["definition"] for name in chosen}
        if started is not None:
            self.definitions = {name: dict(each, running=name in started) for name, each in self.definitions.items()}
        self._order = _definition.start_order(self.definitions)
        self._record = content
        self._recreate, self._ready = recreate, [name for name in ready if name in self.definitions]

    def _volume_names(self):
        names = set()
        for name in self.definitions:
            for mount in self._record["containers"][name]["inspect"].get("Mounts") or ():
                if mount.get("Type") == "volume":
                    names.add(mount["Name"])
        return sorted(names)

    def _replaced(self):
        """Return the containers to create (dict of name to the present one's description, or None) and note why."""
        replaced, names = {}, container_names(self.engine)
        for name in self._order:
            present = find_exact(self.engine, name)
            if present is None:
                replaced[name] = None
                continue
            recorded = self.definitions[name]
            described = self._as_recorded(present, names, recorded)
            fields = _definition.compare(recorded, described)
            # A container keeps hold of another one by ID, so it has to follow when that one is made anew.
            fields.extend("uses %s" % other for other in sorted(_definition.referenced(recorded)) if other in replaced)
            if not fields and name in self._recreate and not self._is_ours(name):
                fields.append("asked for")
            if fields:
                replaced[name] = present
                self._differences[name] = fields
            if _definition.moved(recorded, described):
                self._moved[name] = _definition.moved(recorded, described)
        return replaced

    def _is_ours(self, name):
        """Return True if the container of this name, if there is one, was created by this transaction."""
        if find_exact(self.engine, self._aside(name)):
            return True
        marker = self._marker(name)
        return marker is not None and marker["before"] == "absent"

    def _as_recorded(self, present, names, recorded):
        """Return the definition of a container, with the recorded image ID if its image is only numbered otherwise."""
        definition = _definition.from_inspect(present, names)
        if definition["image_id"] != recorded["image_id"]:
            with contextlib.suppress(BackupError):
                _reference, known = check_image(self.engine, recorded, self._record["images"])
                if known == definition["image_id"]:
                    definition["image_id"] = recorded["image_id"]
        return definition

    # --- prepare --------------------------------------------------------------------------------------------------

    def prepare(self):
        """Check all that can be checked, and create missing networks and volumes."""
        replaced = self._replaced()
        self._absent = sorted(name for name, present in replaced.items() if present is None)
        self._check(replaced)
        made = [name for name in self._volume_names() if self._prepare_volume(self._record["volumes"][name])]
        if not self.check_mode:
            self.engine.settle_volumes(made, sorted(each["image_id"] for each in self.definitions.values()))
        for name in sorted({name for each in self.definitions.values() for name in each["networks"]}):
            if not _definition.is_predefined(name):
                self._prepare_network(self._record["networks"][name])

    def _check(self, replaced):
        for name in replaced:
            definition = self.definitions[name]
            self._check_image(definition)
            check_ports(self.engine, definition, set(self.definitions))
            present = replaced[name]
            if present and present["HostConfig"].get("AutoRemove"):
                raise UsageError("Container '%s' removes itself when it stops (--rm), so it cannot be set aside" % name,
                                 "Stop it first.")
            self._missing_binds.extend(missing_binds(self.engine, definition))
        self._missing_binds = sorted(set(self._missing_binds))

    def _check_image(self, definition):
        try:
            check_image(self.engine, definition, self._record["images"])
        except NotFoundError as error:
            # In check mode a task before this one may have said that it would load it.
            if not self.images_may_come:
                raise
            if self.check_mode:
                self._warnings.append("%s." % error.message)

    def _prepare_volume(self, wanted):
        present = self.engine.volume(wanted["Name"])
        if present is None:
            self._do("create volume %s" % wanted["Name"], self.engine.create_volume, wanted["Name"], wanted["Driver"],
                     wanted["Options"], wanted["Labels"])
        else:
            self._warn_if_different("Volume", _definition.volume_from_inspect(present), wanted)
        return present is None

    def _warn_if_different(self, kind, present, wanted):
        fields = sorted(key for key in wanted if wanted[key] != present.get(key) and key != "IPAM")
        if kind == "Network" and wanted["IPAM"]["Config"] != present["IPAM"]["Config"]:
            fields.append("subnet")
        if fields:
            self._warnings.append("%s '%s' exists and is left as it is, though it differs from the record in: %s." % (
                kind, wanted["Name"], ", ".join(fields)))

    def _prepare_network(self, wanted):
        present = self.engine.network(wanted["Name"])
        if present is not None:
            described = _definition.network_from_inspect(present)
            self._warn_if_different("Network", described, wanted)
            for definition in self.definitions.values():
                check_address(definition, described)
            return
        taken = overlapping(wanted, self.engine.networks())
        if taken:
            wanted = self._without_subnet(wanted, "network '%s' has it" % taken)
        self._do("create network %s" % wanted["Name"], self._create_network, wanted)

    def _without_subnet(self, wanted, why):
        """Return a network's body that lets the engine choose the subnet, unless somebody needs the recorded one."""
        subnets = ", ".join(entry.get("Subnet", "") for entry in wanted["IPAM"]["Config"])
        for name, definition in sorted(self.definitions.items()):
            endpoint = definition["networks"].get(wanted["Name"], {})
            if "ipv4" in endpoint or "ipv6" in endpoint:
                raise ExistsError(
                    "Network '%s' needs %s, because container '%s' has a fixed address in it; but %s" % (
                        wanted["Name"], subnets, name, why),
                    "Remove or change the other network.",
                )
        self._warnings.append("Network '%s' gets another subnet than the recorded %s: %s." % (
            wanted["Name"], subnets, why))
        return dict(wanted, IPAM=dict(wanted["IPAM"], Config=[]))

    def _create_network(self, wanted):
        self._mark("network", wanted["Name"], before="absent")
        try:
            self.engine.create_network(wanted)
        except EngineError as error:
            if "overlap" not in error.message or not wanted["IPAM"]["Config"]:
                raise
            self.engine.create_network(self._without_subnet(wanted, "something on the host has it"))

    def make_ready(self):
        """Create those of the containers needed early that are missing, and start those that do not run."""
        replaced = self._replaced()
        for name in [name for name in self._order if name in self._ready]:
            present = replaced.get(name)
            # One that merely differs is needed as it is until it is replaced with the others.
            new = name in replaced and (present is None or self._is_ours(name))
            if name in self._moved:
                self._warnings.append("Container '%s' has something else mounted than recorded at %s; it is needed "
                                      "with what it has now." % (name, ", ".join(self._moved[name])))
            if new:
                self._refuse_impossible_mounts([name])
                self._set_aside(name, present)
                self._do("create container %s" % name, self._create, name)
            if new or not find_exact(self.engine, name)["State"]["Running"]:
                self._do("start container %s" % name, self._start_ready, name, new)

    def _start_ready(self, name, new):
        try:
            self.engine.start(name)
        except BackupError:
            # Nothing has been done in it yet, and a rollback could not start it to look.
            if new:
                self.engine.remove_container(name)
            raise

    # --- switch ---------------------------------------------------------------------------------------------------

    def switch(self, state):
        """Set the old containers aside and create the new ones; start them if state is "started"."""
        replaced = self._replaced()
        self._check(replaced)
        self._refuse_impossible_mounts(replaced)
        for name in reversed(self._order):
            if name in replaced:
                self._set_aside(name, replaced[name])
        for name in self._order:
            if name in replaced:
                self._do("create container %s" % name, self._create, name)
        if state == "started":
            for name in self._order:
                self._start(name, name in replaced)

    def _refuse_impossible_mounts(self, names):
        """Raise NotFoundError for missing sources that the engine does not create by itself."""
        found = set()
        for name in names:
            mounts = self.definitions[name]["host_config"].get("Mounts", ())
            needed = {mount.get("Source") for mount in mounts
                      if not (mount.get("BindOptions") or {}).get("CreateMountpoint")}
            found.update(needed.intersection(self._missing_binds))
        if found and not self.check_mode:
            raise NotFoundError("These paths on the host are needed as mounts and do not exist: %s" %
                                ", ".join(sorted(found)), "Create them or restore them first.")

    def _set_aside(self, name, present):
        """Stop a container and give it its other name; or throw away what an earlier try of this phase has left."""
        ours = self._is_ours(name)
        if present is None:
            if not ours and not self.check_mode:
                self._mark("container", name, before="absent")
        elif ours:
            self._do("remove half-made container %s" % name, self.engine.remove_container, present["Id"])
        else:
            self._do("set container %s aside as %s" % (name, self._aside(name)), self._rename_aside, name, present)

    def _rename_aside(self, name, present):
        policy = present["HostConfig"]["RestartPolicy"]
        if self._marker(name) is None:
            self._mark("container", name, before="running" if present["State"]["Running"] else "stopped",
                       restart_policy=json.dumps(policy, sort_keys=True))
        if policy.get("Name") == "always":
            # The engine's own restart would start it beside the new one.
            self.engine.set_restart_policy(present["Id"], {"Name": "no", "MaximumRetryCount": 0})
        if present["State"]["Running"]:
            self.engine.stop(present["Id"], present["Config"].get("StopTimeout") or self.stop_timeout)
        self.engine.rename(present["Id"], self._aside(name))

    def _create(self, name):
        definition = self.definitions[name]
        reference, found = check_image(self.engine, definition, self._record["images"])
        if reference != definition["image"]:
            self._warnings.append("Container '%s' is created from %s, because '%s' is another image here." % (
                name, reference, definition["image"]))
        body, networks = _definition.to_create(definition, reference)
        identifier = self.engine.create_container(name, body)
        if self.engine.container(identifier)["Image"] != found:
            raise IntegrityError("Container '%s' was created from another image than %s" % (name, found),
                                 "Somebody moved the name '%s' meanwhile; run this again." % reference)
        for network, endpoint in networks.items():
            self.engine.connect(network, identifier, endpoint)

    def _start(self, name, new):
        if not self.definitions[name]["running"]:
            return
        present = find_exact(self.engine, name)
        if new or (present is not None and not present["State"]["Running"]):
            self._do("start container %s" % name, self.engine.start, name)

    # --- commit and rollback --------------------------------------------------------------------------------------

    def commit(self, subset):
        """Remove the containers that were set aside, with their anonymous volumes, and the markers."""
        for marker in self._markers("container", subset):
            if find_exact(self.engine, self._aside(marker["name"])):
                # Volumes that the new container uses too are in use, and the engine leaves those alone.
                self._do("remove container %s" % self._aside(marker["name"]), self.engine.remove_container,
                         self._aside(marker["name"]), True)
            self._forget(marker)
        if not self._markers("container", None):
            for marker in self._markers("network", None):
                self._forget(marker)

    def rollback(self, subset, keep_new=False):
        """Remove what this transaction created and put back what it set aside.

        :param keep_new: bool, what was created where nothing was before stays for another rollback.
        """
        markers = [marker for marker in self._markers("container", subset)
                   if not (keep_new and marker["before"] == "absent")]
        back = {marker["name"]: self._put_back(marker) for marker in markers}
        stopped = {
            marker["name"]: _definition.from_inspect(dict(back[marker["name"]], Name="/" + marker["name"]))
            for marker in markers
            if marker["before"] == "running" and back[marker["name"]] and not back[marker["name"]]["State"]["Running"]
        }
        for name in _definition.start_order(stopped):
            self._do("start container %s" % name, self.engine.start, name)
        # Only now: a rollback that is cut off must still know what ran.
        for marker in markers:
            self._forget(marker)
        if not keep_new and not self._markers("container", None):
            for marker in self._markers("network", None):
                self._remove_network(marker)

    def _put_back(self, marker):
        """Give the old container its name and restart policy back. Return its description, or None if there is none."""
        name = marker["name"]
        old, present = find_exact(self.engine, self._aside(name)), find_exact(self.engine, name)
        if present and (old or marker["before"] == "absent"):
            self._do("remove container %s" % name, self.engine.remove_container, present["Id"])
            present = None
        if old:
            self._do("put container %s back" % name, self.engine.rename, old["Id"], name)
            present = old
        if marker["before"] == "absent":
            return None
        if present is None:
            self._warnings.append("Container '%s' is gone; it was not removed by this transaction." % name)
            return None
        policy = json.loads(marker["restart_policy"])
        if policy and present["HostConfig"]["RestartPolicy"] != policy:
            self._do("give container %s its restart policy back" % name, self.engine.set_restart_policy, present["Id"],
                     policy)
        return present

    def _remove_network(self, marker):
        network = self.engine.network(marker["name"])
        if network is not None and not self.engine.containers(filters={"network": network["Id"]}):
            self._do("remove network %s" % marker["name"], self.engine.remove_network, network["Id"])
        self._forget(marker)

    # --- markers --------------------------------------------------------------------------------------------------

    def _aside(self, name):
        return "%s_mb_%s_old" % (name, self.transaction)

    def _marker_volume(self, kind, name):
        digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
        return "moodle_backup_%s_%s_%s" % (self.transaction, kind, digest)

    def _mark(self, kind, name, **labels):
        labels.update(transaction=self.transaction, kind=kind, name=name)
        labels = {_LABEL + key: value for key, value in labels.items()}
        self.engine.create_volume(self._marker_volume(kind, name), labels=labels)

    def _forget(self, marker):
        if not self.check_mode:
            self.engine.remove_volume(marker["volume"])

    def _marker(self, name):
        """Return what is marked of a container (dict with name, before, restart_policy, volume), or None."""
        return _marked(self.engine.volume(self._marker_volume("container", name)))

    def _markers(self, kind, subset):
        found = self.engine.volumes({"label": [
            "%stransaction=%s" % (_LABEL, self.transaction), "%skind=%s" % (_LABEL, kind),
        ]})
        markers = {volume["Labels"][_LABEL + "name"]: _marked(volume) for volume in found}
        if kind == "container":
            for name in self._set_aside_names() - set(markers):
                self._warnings.append("It is not known any more whether container '%s' ran and what its restart policy "
                                      "was; look at both." % name)
                markers[name] = {"name": name, "before": "running", "restart_policy": "null",
                                 "volume": self._marker_volume(kind, name)}
        return [markers[name] for name in sorted(markers) if subset is None or name in subset]

    def _set_aside_names(self):
        """Return the names of the containers that are set aside, also of those whose marker was pruned (set of str)."""
        suffix = self._aside("")
        return {name[:-len(suffix)] for name in container_names(self.engine).values() if name.endswith(suffix)}


def _marked(volume):
    if volume is None:
        return None
    marker = {key[len(_LABEL):]: value for key, value in (volume["Labels"] or {}).items() if key.startswith(_LABEL)}
    marker["volume"] = volume["Name"]
    return marker
