# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook awx against a stand-in for AWX, and the jobs that it makes, run by ansible-runner as AWX runs them.

The variables are those of the example that the collection ships. No AWX can run here: FakeAwx keeps what it is sent, and
checks each request by the rules of AWX's API.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lab import play  # noqa: E402
from lab.awx_job import Job  # noqa: E402
from lab.fake_awx import FakeAwx  # noqa: E402
from lab.leaks import found_in  # noqa: E402
from lab.site import Site  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "roles/awx/files/awx.example.yml"
NAME = "mcb-mol-awx"
SECRETS = {
    "vault_awx_token": "token-for 'the' API of $AWX",
    "vault_ssh_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nkey of the hosts\n-----END OPENSSH PRIVATE KEY-----\n",
    "vault_restic_password": "restic's {{ password }} & \"more\"",
    "vault_s3_id": "id-of-the-bucket-that-is-none",
    "vault_s3_secret": "secret-of-the-bucket-that-is-none",
    "vault_git_user": "user-of-git-that-is-none",
    "vault_git_password": "password-of-git-that-is-none",
    "vault_admin_password": "Adm1n & 'co' $PATH of mcb-mol-awx",  # what lab.site expects
    "vault_database_password": "s3cret 'of' the $DATABASE \\ \"x\" %d",
    "vault_mail_password": "password-of-the-mail-server",
}
PASSWORD = "password-of-the-account-at-awx"
# Two are no secrets: AWX shows them too. Of a key, each line is one.
HIDDEN = {name: value for name, value in SECRETS.items() if name not in ("vault_s3_id", "vault_git_user", "vault_ssh_key")}
HIDDEN["line of the key"] = "key of the hosts"


def data() -> dict:
    return yaml.safe_load(EXAMPLE.read_text())


class Builder:
    """Runs the playbook awx with the example."""

    def __init__(self, folder: Path, awx: FakeAwx):
        self.folder, self.awx = folder, awx
        # Ansible's own way to say that a text is none of its templates.
        (folder / "vault.yml").write_text("".join("%s: !unsafe %s\n" % (name, json.dumps(value)) for name, value in SECRETS.items()))

    def __call__(self, *options: str, files: tuple = (EXAMPLE,), code: int = 0, **changes: object) -> str:
        """Run it with files of variables, and changes to them. Return what it printed; nothing of it is secret."""
        changes = {"moodle_backup_awx_host": self.awx.url, **changes}
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".json", delete=False) as file:  # runs can go on at once
            json.dump(changes, file)
        words = [word for path in (*files, self.folder / "vault.yml", file.name) for word in ("-e", "@%s" % path)]
        self.awx.requests.clear()
        status, output = play.run("awx", {}, *words, *options)
        assert status == code, output[-3000:]
        assert found_in(output.encode(), {**HIDDEN, "password of the account": PASSWORD}) == []
        return output


@pytest.fixture(scope="module")
def awx(tmp_path_factory):
    """The stand-in, whose projects all hold what the collection ships for one."""
    project = tmp_path_factory.mktemp("awx") / "project"
    shutil.copytree(ROOT / "roles/awx/files/project", project)
    with FakeAwx(project, SECRETS["vault_awx_token"], PASSWORD) as fake:
        yield fake


@pytest.fixture(scope="module")
def build(awx, tmp_path_factory):
    """A function that runs the playbook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_PIPELINING", "1")  # less to do for each of the many modules
        yield Builder(tmp_path_factory.mktemp("data"), awx)


@pytest.fixture(scope="module")
def built(awx, build):
    """What the first run printed, as talkative as can be."""
    output = build("--check")
    assert awx.writes() == [] and awx.names("organizations") == ["Default"]
    assert "does not have yet what is changed above" in output and "changed=1 " in output
    return build("-vvv", moodle_backup_awx_job_templates=[*data()["moodle_backup_awx_job_templates"], *own_templates()])


class Jobs:
    """Launches job templates for a site. What they leave is below the site's folder."""

    def __init__(self, awx: FakeAwx, site: Site):
        self.awx, self.site, self.numbers = awx, site, itertools.count(1)
        self.root = site.folder / "backups"
        copies = [{"name": "away", "kind": "restic", "repository": str(site.folder / "restic"),
                   "password": "{{ moodle_backup_restic_password }}",
                   "environment": {"AWS_ACCESS_KEY_ID": "{{ moodle_backup_s3_id }}",
                                   "AWS_SECRET_ACCESS_KEY": "{{ moodle_backup_s3_secret }}"}}]
        self.inventory = {"moodle": {"hosts": ["school"]}, "_meta": {"hostvars": {"school": {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "moodle_backup_root": str(self.root),
            "moodle_backup_container": site.web, "moodle_backup_stack": site.name, "moodle_backup_images": False,
            "moodle_backup_copies": copies}}}}

    def __call__(self, template: str, code: int = 0, limit: str = "", check: bool = False, **answers: object) -> Job:
        """Run a job, which must end with a code; nothing that AWX would store of it is secret. Several can run at once."""
        job = Job(self.awx, "Moodle backup, " + template, self.inventory, self.site.folder / ("job%d" % next(self.numbers)),
                  {"moodle_backup_" + name: value for name, value in answers.items()}, limit, check)
        assert job.code == code, job.said[-3000:]
        assert b"school" in job.told() or code == 1  # else nothing at all would have been looked into
        assert found_in(job.told(), {**HIDDEN, **job.secrets}) == []
        return job

    def backups(self) -> list[str]:
        return sorted(name for name in os.listdir(self.root / "backups") if not name.startswith("."))


@pytest.fixture(scope="module")
def launch(awx, built, require_image):
    """A function that launches a job template for a site, which the first job has to make."""
    for image in ("moodle:latest", "postgresql:15"):
        require_image("moodleclaude-test/%s" % image)
    site = Site(NAME, code="volume", dbpass=SECRETS["vault_database_password"])
    site.destroy()
    try:
        site.folder.mkdir()
        yield Jobs(awx, site)
    finally:
        site.destroy()


@pytest.fixture(scope="module")
def under_way(launch) -> dict[str, Future]:
    """The first jobs, one after another. They go on beside the tests that need no site, to save time."""
    with ThreadPoolExecutor(1) as pool:
        yield {
            "a site": pool.submit(
                launch, "set up a site", limit="school", setup_name=NAME, setup_image="moodleclaude-test/moodle:latest",
                setup_database_image="moodleclaude-test/postgresql:15", setup_pgadmin_image="", setup_pull="never",
                setup_installer="collection", setup_wwwroot="http://127.0.0.1:18473", setup_http_port=18473, setup_container_port=80),
            "a backup that asks nothing": pool.submit(launch, "daily back up"),
            # Another stack, whose name begins with that of this one. Where configuration is, is left as the form has it.
            "a backup with answers": pool.submit(
                launch, "own", name="second", images="false", accept_incomplete='["%s-other", "x"]' % NAME,
                exclude_data='["cache/x*", "a, b"]', plugin_paths="local/moodleclaude\nmod/forum")}


@pytest.fixture
def jobs(launch, under_way):
    """The same function, once the first jobs have ended."""
    wait(under_way.values())
    under_way["a site"].result()
    return launch


def named(part: str, *names: str) -> list[dict]:
    """Return entries of a variable of the example."""
    found = [item for item in data()["moodle_backup_awx_" + part] if item["name"] in names]
    assert len(found) == len(names)
    return found


def few() -> dict:
    """Return variables of the example with a few things of each kind. The questions are of all types."""
    (workflow,) = data()["moodle_backup_awx_workflows"]
    nodes = [node for node in workflow["nodes"] if node["name"] in ("clean up", "report")]
    return {
        "moodle_backup_awx_credential_types": named("credential_types", "Moodle backup, restic"),
        "moodle_backup_awx_credentials": named("credentials", "Docker hosts", "Copies of Moodle backups"),
        "moodle_backup_awx_job_templates": named("job_templates", "Moodle backup, back up", "Moodle backup, schedule on the hosts"),
        "moodle_backup_awx_workflows": [dict(workflow, nodes=nodes)],
        "moodle_backup_awx_schedules": named("schedules", "Moodle backup, read all backups within a month")}


def own_templates() -> list[dict]:
    """Return job templates that ask for lists and dictionaries. The example asks for few, for answers win over the inventory."""
    (restore,) = named("job_templates", "Moodle backup, restore")
    lists = ["moodle_backup_name", "moodle_backup_images", "moodle_backup_exclude_data", "moodle_backup_plugin_paths",
             "moodle_backup_config_paths", "moodle_backup_accept_incomplete"]
    return [{"name": "Moodle backup, own", "playbook": "backup.yml", "credentials": ["Docker hosts"], "survey": lists},
            dict(restore, name="Moodle backup, own restore", survey=[*restore["survey"], "moodle_backup_restore_settings"])]


def some(*parts: str) -> dict:
    """Return a few variables of the example."""
    return {"moodle_backup_awx_" + part: data()["moodle_backup_awx_" + part] for part in parts}


# --- what is made ---------------------------------------------------------------------------------------------------


def test_everything_of_the_example_is_made(awx, built):
    example = data()
    for part, endpoint in (("credential_types", "credential_types"), ("credentials", "credentials"),
                           ("notifications", "notification_templates"), ("job_templates", "job_templates"),
                           ("workflows", "workflow_job_templates"), ("schedules", "schedules")):
        own = own_templates() if part == "job_templates" else []
        assert awx.names(endpoint) == sorted(item["name"] for item in [*example["moodle_backup_awx_%s" % part], *own])
    assert awx.attached("organizations", "Moodle", "galaxy_credentials") == ["Ansible Galaxy"]
    assert awx.named("execution_environments", "Moodle backup")["image"] == "registry.example.com/moodle-backup-ee:0.2.0"
    project = awx.named("projects", "Moodle backup")
    assert project["scm_url"] == "https://git.example.com/moodle-backup.git" and project["scm_update_on_launch"] is True
    source = awx.named("inventory_sources", "The project's inventory")
    assert (source["source_path"], source["source_project"], source["overwrite"]) == ("inventory/hosts.ini", project["id"], True)


def test_secrets_arrive_whole(awx, built):
    machine = awx.named("credentials", "Docker hosts")["inputs"]
    assert machine == {"username": "backup", "ssh_key_data": SECRETS["vault_ssh_key"], "become_method": "sudo"}
    restic = awx.named("credentials", "Copies of Moodle backups")["inputs"]
    assert restic["moodle_backup_restic_password"] == SECRETS["vault_restic_password"]
    mail = awx.named("notification_templates", "Mail to the administrators")["notification_configuration"]
    assert mail["password"] == SECRETS["vault_mail_password"]
    kind = awx.named("credential_types", "Moodle backup, restic")
    assert kind["injectors"]["extra_vars"]["moodle_backup_restic_password"] == "{{ moodle_backup_restic_password }}"


def test_job_templates_ask_what_they_should(awx, built):
    template = awx.named("job_templates", "Moodle backup, restore")
    assert template["limit"] == "choose-a-host" and template["ask_limit_on_launch"] and template["ask_job_type_on_launch"]
    assert not template["ask_variables_on_launch"] and template["survey_enabled"]
    assert awx.attached("job_templates", template["name"], "credentials") == ["Docker hosts", "Copies of Moodle backups"]
    questions = {question["variable"]: question for question in awx.surveys[template["id"]]["spec"]}
    assert questions["moodle_backup_name"]["required"] and questions["moodle_backup_name"]["default"] == "latest"
    assert questions["moodle_backup_restore_clone"]["choices"] == ["true", "false"]
    assert questions["moodle_backup_restore_clone"]["default"] == "false"
    report = awx.named("job_templates", "Moodle backup, report a failure")
    assert not report["survey_enabled"] and report["id"] not in awx.surveys


def test_the_workflow_goes_on_as_it_should(awx, built):
    nodes = "workflow_job_template_nodes"
    chain = ["back up", "verify", "replicate", "clean up"]
    for node, following in zip(chain, chain[1:]):
        assert awx.attached(nodes, node, "success_nodes") == [following]
    assert awx.attached(nodes, "back up", "failure_nodes") == ["let sites go on"]
    assert awx.attached(nodes, "let sites go on", "always_nodes") == ["replicate what there is"]
    for node in chain[1:]:
        assert awx.attached(nodes, node, "failure_nodes") == ["report"]
    assert awx.attached("workflow_job_templates", "Moodle backup, every day", "notification_templates_error") == [
        "Mail to the administrators"]


def test_schedules_are_due_when_they_should(awx, built):
    nightly = awx.named("schedules", "Moodle backup, every night")
    assert nightly["rrule"] == "DTSTART;TZID=Europe/Vienna:20240101T020000 RRULE:FREQ=DAILY;INTERVAL=1"
    assert nightly["unified_job_template"] == awx.named("workflow_job_templates", "Moodle backup, every day")["id"]
    reading = awx.named("schedules", "Moodle backup, read all backups within a month")
    assert reading["extra_data"] == {"moodle_backup_name": "latest", "moodle_backup_verify_parts": 20}


@pytest.mark.usefixtures("under_way")
def test_the_second_run_changes_nothing_by_an_account_with_a_password_too(awx, build, built):
    """Nor does it write secrets. One token is made for the account, also for what looks into AWX, and none stays."""
    credential = awx.named("credentials", "Copies of Moodle backups")
    mail = awx.named("notification_templates", "Mail to the administrators")
    credential["inputs"]["moodle_backup_s3_secret"] = mail["notification_configuration"]["password"] = "an older one"
    account = {"moodle_backup_awx_token": "", "moodle_backup_awx_username": "admin", "moodle_backup_awx_password": PASSWORD}
    assert "changed=0 " in build("-vvv", **few(), **account)
    assert writes_beside_tokens(awx) == []
    # Its own, and that of the module which makes it.
    assert [path for method, path, _data in awx.writes() if method == "POST"] == ["/api/v2/tokens/"] * 2 and awx.tokens == {}


# --- changes --------------------------------------------------------------------------------------------------------


def test_a_secret_is_written_anew_when_that_is_wanted(awx, build, built):
    only = dict(some("organization", "token", "notifications"), moodle_backup_awx_credentials=named("credentials", "Copies of Moodle backups"))
    assert "changed=2 " in build("-vvv", files=(), **only, moodle_backup_awx_update_secrets=True)
    credential = awx.named("credentials", "Copies of Moodle backups")["inputs"]
    assert credential["moodle_backup_s3_secret"] == SECRETS["vault_s3_secret"]
    mail = awx.named("notification_templates", "Mail to the administrators")["notification_configuration"]
    assert mail["password"] == SECRETS["vault_mail_password"]


def test_a_change_is_foretold_then_made(awx, build, built):
    (template,) = named("job_templates", "Moodle backup, list")
    (question,) = template["survey"]
    only = some("organization", "token", "project")
    only["moodle_backup_awx_inventory"] = {"name": "Docker hosts with Moodle"}
    only["moodle_backup_awx_job_templates"] = [dict(template, description="Another text", survey=[dict(question, question="As what")])]
    assert "changed=1 " in build("--check", files=(), **only)
    assert awx.writes() == [] and awx.named("job_templates", template["name"])["description"] == template["description"]
    only["moodle_backup_awx_project"]["fetch_now"] = True
    assert "changed=1 " in build(files=(), **only)
    made = awx.named("job_templates", template["name"])
    assert made["description"] == "Another text" and awx.surveys[made["id"]]["spec"][0]["question_name"] == "As what"
    assert sorted(path.strip("/").rpartition("/")[2] for path in writes_beside_tokens(awx)) == [str(made["id"]), "survey_spec", "update"]


def writes_beside_tokens(awx: FakeAwx) -> list[str]:
    return [path for _method, path, _data in awx.writes() if "/tokens/" not in path]


REFUSED = [
    ({"moodle_backup_awx_token": "a wrong one"}, "Invalid authentication credentials"),
    ({"moodle_backup_awx_token": "", "moodle_backup_awx_username": "nobody", "moodle_backup_awx_password": PASSWORD},
     "AWX gives no token for moodle_backup_awx_username and moodle_backup_awx_password. .*401"),
    ({"moodle_backup_awx_notifications": [{"name": "x", "type": "email", "configuration": {"password": PASSWORD}}]},
     "A notification could not be made or removed in AWX. .*Missing required fields for Notification Configuration"),
    ({"moodle_backup_awx_credentials": [{"name": "x", "type": "Machine"}, {"name": "x", "type": "Machine"}]},
     "Two entries of moodle_backup_awx_credentials have the same name"),
    ({"moodle_backup_awx_credential_types": data()["moodle_backup_awx_credential_types"][:1], "moodle_backup_awx_credentials": [
        {"name": "x", "type": "Moodle backup, restic", "inputs": {"moodle_backup_restic_password": "007"}}]},
     "credential x: what is in moodle_backup_restic_password looks like a number"),
    ({"moodle_backup_awx_schedules": [{"name": "x", "template": "x", "att": "02:00"}]}, r"\batt\b.*Supported parameters"),
]


def test_what_cannot_be_is_refused_with_its_reason(build, built):
    only = some("organization", "token")
    with ThreadPoolExecutor(2) as pool:  # as many as there are cores where the tests run
        said = list(pool.map(lambda case: build("-vvv", files=(), code=2, **{**only, **case[0]}), REFUSED))
    for output, (_changes, problem) in zip(said, REFUSED):
        assert re.search(problem, output), problem


# --- the jobs -------------------------------------------------------------------------------------------------------


def test_a_job_that_needs_a_host_is_no_job_for_all(jobs):
    assert "choose-a-host" in jobs("restore", code=1).said


def test_a_backup_takes_its_answers_as_awx_passes_them(jobs, under_way):
    under_way["a backup that asks nothing"].result()  # the inventory says what it needs
    job = under_way["a backup with answers"].result()
    called = [result["invocation"]["module_args"] for result in job.results() if "invocation" in result]
    (found,) = [args for args in called if "exclude_data" in args]
    assert found["exclude_data"] == ["cache/x*", "a, b"] and found["plugin_paths"] == ["local/moodleclaude", "mod/forum"]
    assert found["config_paths"] == []
    (wanted,) = [args["jobs"] for args in called if "jobs" in args]
    assert [one["args"]["accept_incomplete"] for one in wanted if one["name"] == "content"] == [False]
    made, second = jobs.backups()
    assert re.fullmatch(NAME + "_[0-9]{8}_[0-9]{6}", made) and second == "second"
    assert not list((jobs.root / "backups/second").glob("image_*"))


def test_backups_are_read_listed_and_kept(jobs):
    first = jobs.backups()[0]
    with ThreadPoolExecutor(2) as pool:
        verified, listed = pool.submit(jobs, "verify", verify_parts=2), pool.submit(jobs, "list", format="json")
    (read,) = [result for result in verified.result().results() if "stacks" in result]
    assert read["invocation"]["module_args"]["parts"] == 2
    assert first in listed.result().said
    assert "is pinned" in jobs("pin", name=first, pinned="true", pin_reason="as delivered").said
    assert "is not pinned" in jobs("pin", name=first, pinned="false").said
    jobs("clean up by other rules", keep_last=1, check=True)
    assert jobs.backups() == [first, "second"]
    jobs("clean up by other rules", keep_last=1)
    assert jobs.backups() == ["second"]


def test_a_backup_goes_away_and_comes_back(jobs):
    assert "copied second" in jobs("daily replicate").said
    shutil.rmtree(jobs.root / "backups/second")
    assert "was brought to school" in jobs("fetch", name="second").said
    assert jobs.backups() == ["second"]


def test_a_site_is_restored_as_itself(jobs):
    """No answer of a survey is a boolean: "false" must not make the site a copy that sends no mail."""
    jobs("own restore", limit="school", restore_clone="false", restore_configuration="false", restore_settings='{"forced_by_awx": "yes"}')
    config = subprocess.run(["docker", "exec", jobs.site.web, "cat", "/var/www/html/config.php"], check=True, capture_output=True,
                            text=True).stdout
    assert "forced_by_awx" in config and "noemailever" not in config
    assert "there is nothing to undo" in jobs("roll back").said


def test_the_other_playbooks_run_too(jobs):
    repository = jobs.site.folder / "repository"
    with ThreadPoolExecutor(2) as pool:
        begun = [
            pool.submit(jobs, "repository", repository_action="init", repository=str(repository)),
            pool.submit(jobs, "schedule on the hosts", check=True, schedule_state="absent", schedule_weekdays=["sat", "sun"],
                        schedule_time="22:30", schedule_persistent="false"),
            pool.submit(jobs, "prepare hosts", check=True, prepare_features=["git"], prepare_epel="false"),
            pool.submit(jobs, "report a failure", code=2)]
    made, _scheduled, prepared, failed = [future.result() for future in begun]
    assert made.results() and (repository / ".gitignore").is_file()
    # Nothing is installed here; the packages that it asks for are enough.
    asked = [result["cmd"] for result in prepared.results() if "cmd" in result]
    assert [{"python3-docker", "git"} & set(command) for command in asked] == [{"python3-docker", "git"}]
    assert "A job of this workflow has failed" in failed.said
    # A text that looks like a number arrives as one, and nobody can tell then which text it was.
    tag = {"repository_action": "tag", "repository": str(repository)}
    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(jobs, "repository", code=2, repository_tag="1.10", **tag)
        jobs("repository", repository_tag='"1.10"', **tag)
    assert "moodle_backup_repository_tag is 1.1, which is no text." in refused.result().said
    tags = subprocess.run(["git", "-C", repository, "tag"], check=True, capture_output=True, text=True).stdout
    assert tags.split() == ["1.10"]


# --- the end of it --------------------------------------------------------------------------------------------------


def test_what_is_to_go_goes_and_nothing_else(awx, build, built):
    """Also what others need: the credential goes before its type, the schedule before its template, in one run."""
    example = data()
    absent = {
        "schedules": ["Moodle backup, read all backups within a month"], "credential_types": ["Moodle backup, git remote"],
        "credentials": ["Remote of the repository of backups"], "notifications": ["Mail to the administrators"],
        "job_templates": ["Moodle backup, pin"]}
    changes = some("organization", "token")
    for part, names in absent.items():
        key = "moodle_backup_awx_%s" % part
        changes[key] = [dict(item, state="absent") for item in example[key] if item["name"] in names]
    workflow = dict(example["moodle_backup_awx_workflows"][0], notify={})
    nodes = {node["name"]: node for node in workflow["nodes"]}
    # Those that are not named stay as they are.
    workflow["nodes"] = [dict(nodes["replicate what there is"], state="absent"), dict(nodes["let sites go on"], always=["report"]),
                         nodes["report"]]
    changes["moodle_backup_awx_workflows"] = [workflow]
    before = {endpoint: awx.names(endpoint) for endpoint in awx.store}
    build(files=(), **changes)
    gone = {"schedules": absent["schedules"], "credential_types": absent["credential_types"], "credentials": absent["credentials"],
            "notification_templates": absent["notifications"], "job_templates": absent["job_templates"],
            "workflow_job_template_nodes": ["replicate what there is"]}
    for endpoint, names in before.items():
        assert awx.names(endpoint) == [name for name in names if name not in gone.get(endpoint, [])]
    assert awx.attached("workflow_job_template_nodes", "let sites go on", "always_nodes") == ["report"]
    assert "changed=0 " in build(files=(), **changes)
    assert awx.writes() == []


def test_a_schedule_of_the_same_name_of_others_stays(awx, build, built):
    """While ours is there, in later runs with the same file, and when our template has gone, too."""
    def make(endpoint: str, **fields: object) -> int:
        return awx.answer("POST", "/api/v2/%s/" % endpoint, {}, fields)[1]["id"]

    (ours,), (workflow,) = (named(part, name) for part, name in (
        ("schedules", "Moodle backup, every night"), ("workflows", "Moodle backup, every day")))
    others = make("organizations", name="Others")
    project = make("projects", name="p", organization=others, scm_type="git", scm_url="x")
    inventory = make("inventories", name="i", organization=others)
    template = make("job_templates", name=ours["template"], project=project, inventory=inventory, playbook="list.yml")
    going = awx.named("schedules", ours["name"])["id"]
    make("schedules", name=ours["name"], unified_job_template=template, rrule="DTSTART:20240101T020000Z RRULE:FREQ=DAILY;INTERVAL=1")
    kept = [number for number in awx.store["schedules"] if number != going]
    only = dict(some("organization", "token"), moodle_backup_awx_schedules=[dict(ours, state="absent")])
    assert "changed=1 " in build(files=(), **only)
    assert list(awx.store["schedules"]) == kept
    only["moodle_backup_awx_workflows"] = [dict(workflow, state="absent", notify={})]
    assert "changed=1 " in build(files=(), **only)
    assert "changed=0 " in build(files=(), **only)
    assert awx.writes() == [] and list(awx.store["schedules"]) == kept
