# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import itertools
import time
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.moodleclaude.backup.plugins.module_utils import _retention
from ansible_collections.moodleclaude.backup.plugins.module_utils._errors import UsageError
from ansible_collections.moodleclaude.backup.plugins.module_utils._retention import Candidate, Policy

ZONE = "Europe/Berlin"
DAY = 86400.0
START = 1_767_000_000.0  # the end of December 2025, so that weeks and years cross


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(ZONE)).timestamp()


def good(name, created, pinned=None):
    return Candidate(name, created, True, "", pinned)


def bad(name, created, pinned=None, why="incomplete"):
    return Candidate(name, created, False, why, pinned)


def kept(candidates, policy):
    return {one.name for one in _retention.decide(candidates, policy) if one.keep}


def reasons(candidates, policy):
    return {one.name: one.reasons for one in _retention.decide(candidates, policy)}


# --- examples -------------------------------------------------------------------------------------------------------


def test_the_newest_ones_stay_and_say_which():
    found = _retention.decide([good("b%d" % number, START + number) for number in (2, 0, 1, 3)], Policy(last=2))
    assert [tuple(one) for one in found] == [
        ("b0", False, ["no rule keeps it"]), ("b1", False, ["no rule keeps it"]),
        ("b2", True, ["last 2 of 2"]), ("b3", True, ["last 1 of 2"])]


def test_the_newest_of_each_day_week_month_and_year_stays():
    backups = [good(text, at(text)) for text in (
        "2024-06-01 12:00", "2025-12-28 12:00", "2025-12-29 12:00", "2025-12-31 23:59", "2026-01-01 00:00",
        "2026-01-01 01:00")]
    assert reasons(backups, Policy(daily=2, weekly=2, monthly=3, yearly=5)) == {
        "2024-06-01 12:00": ["monthly 2024-06", "yearly 2024"],
        "2025-12-28 12:00": ["weekly 2025-W52"],
        "2025-12-29 12:00": ["no rule keeps it"],
        "2025-12-31 23:59": ["daily 2025-12-31", "monthly 2025-12", "yearly 2025"],
        "2026-01-01 00:00": ["no rule keeps it"],
        "2026-01-01 01:00": ["daily 2026-01-01", "weekly 2026-W01", "monthly 2026-01", "yearly 2026"]}


def test_a_day_is_that_of_the_host_also_when_its_clock_changes():
    backups = [good(text, at(text)) for text in ("2026-03-28 23:30", "2026-03-29 01:30", "2026-03-29 23:30")]
    assert kept(backups, Policy(daily=2)) == {"2026-03-28 23:30", "2026-03-29 23:30"}


def test_days_without_a_backup_use_nothing_up():
    backups = [good("b%d" % number, START - 40 * number * DAY) for number in range(5)]
    assert kept(backups, Policy(daily=3)) == {"b0", "b1", "b2"}


@pytest.mark.parametrize(("within", "start"), [
    ("12h", "2026-03-31 00:00"), ("30d", "2026-03-01 11:00"), ("2w", "2026-03-17 11:00"), ("1m", "2026-02-28 12:00"),
    ("13m", "2025-02-28 12:00"), ("1y", "2025-03-31 12:00"), ("1y1m", "2025-02-28 12:00"),
    ("99999y", "1970-01-02 12:00"),
])
def test_a_time_span_is_counted_from_the_newest_good_one(within, start):
    backups = [good("before", at(start) - 1), good("start", at(start)), good("newest", at("2026-03-31 12:00")),
               bad("newer, but bad", at("2026-06-01 12:00"))]
    wanted = {"start", "newest", "newer, but bad"} | ({"before"} if within == "99999y" else set())
    assert kept(backups, Policy(within=within)) == wanted


def test_only_the_good_ones_count():
    backups = [bad("b0", 1, why="damaged"), good("b1", 2), bad("b2", 3), good("b3", 4), bad("b4", 5)]
    assert reasons(backups, Policy(last=2)) == {
        "b0": ["damaged, older than b1"], "b1": ["last 2 of 2"], "b2": ["incomplete, newer than b1"],
        "b3": ["last 1 of 2"], "b4": ["incomplete, newer than b1"]}
    assert kept(backups, Policy(last=2)) == {"b1", "b2", "b3", "b4"}
    assert kept(backups, Policy(last=1)) == {"b3", "b4"}


def test_where_nothing_is_good_nothing_goes():
    backups = [bad("b0", 1), bad("b1", 2)]
    assert reasons(backups, Policy(last=1)) == dict.fromkeys(("b0", "b1"), ["incomplete, and there is nothing better"])


def test_pinned_ones_stay_and_use_nothing_up():
    backups = [good("b0", 1), good("b1", 2, "baseline"), bad("b2", 3, ""), good("b3", 4), good("b4", 5, "x")]
    assert reasons(backups, Policy(last=1)) == {
        "b0": ["no rule keeps it"], "b1": ["pinned: baseline"], "b2": ["pinned"], "b3": ["last 1 of 1"],
        "b4": ["pinned: x", "minimum 1 of 1"]}


def test_no_policy_goes_below_the_minimum():
    backups = [good("b%d" % number, float(number)) for number in range(5)] + [bad("b9", 9.0)]
    assert reasons(backups, Policy(last=1, minimum=3))["b2"] == ["minimum 3 of 3"]
    assert kept(backups, Policy(last=1, minimum=3)) == {"b2", "b3", "b4", "b9"}


@pytest.mark.parametrize("policy", [Policy(), Policy(minimum=5), Policy(last=-1), Policy(last=1, yearly=-1),
                                    Policy(last=1, minimum=0), Policy(last=1, minimum=-1)])
def test_policies_that_make_no_sense_are_refused(policy):
    with pytest.raises(UsageError, match="keep_|empty"):
        _retention.decide([good("b0", 1)], policy)


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1 d", "1D", "1s", "0d", "0y0h", "1d ", "d1", "1.5d", "٣d", "1d\n"])
def test_what_is_no_time_span_is_refused(text):
    with pytest.raises(UsageError, match="keep_within"):
        _retention.check(Policy(last=1, within=text))


# --- against a simple model -----------------------------------------------------------------------------------------


def model_buckets(backups, number, bucket):
    """The newest backup of each of the newest buckets."""
    groups = {}
    for one in backups:
        groups.setdefault(bucket(datetime.datetime.fromtimestamp(one.created, zoneinfo.ZoneInfo(ZONE))), []).append(one)
    newest = sorted(groups, reverse=True)[:number]
    return {max(groups[name], key=lambda one: (one.created, one.name)).name for name in newest}


def model(backups, policy):
    """Which names stay, in the words of the documentation; time spans in days only."""
    count = sorted((one for one in backups if one.counts), key=lambda one: (one.created, one.name))
    free = [one for one in count if one.pinned is None]
    keep = {one.name for one in free[len(free) - min(policy.last, len(free)):]}
    keep |= model_buckets(free, policy.daily, lambda moment: moment.date())
    keep |= model_buckets(free, policy.weekly, lambda moment: moment.date().isocalendar()[:2])
    keep |= model_buckets(free, policy.monthly, lambda moment: (moment.year, moment.month))
    keep |= model_buckets(free, policy.yearly, lambda moment: moment.year)
    if policy.within:
        keep |= {one.name for one in free if one.created >= free[-1].created - int(policy.within[:-1]) * DAY}
    by_policy = [(one.created, one.name) for one in free if one.name in keep]
    keep |= {one.name for one in backups if one.pinned is not None}
    keep |= {one.name for one in count[len(count) - min(policy.minimum, len(count)):]}
    keep |= {one.name for one in backups
             if not one.counts and (not by_policy or (one.created, one.name) > min(by_policy))}
    return keep


TIMES = st.one_of(st.integers(0, 20), st.integers(0, 24 * 1500)).map(lambda hours: START - hours * 3600.0)
PINNED = st.sampled_from([None, None, None, "", "x"])
BACKUPS = st.lists(st.tuples(TIMES, st.sampled_from([True, True, True, False]), PINNED), max_size=25).map(lambda rows: [
    Candidate("b%02d" % number, created, counts, "" if counts else "damaged", pinned)
    for number, (created, counts, pinned) in enumerate(rows)])
NUMBERS = st.sampled_from([0, 0, 1, 2, 3, 7])
WITHIN = st.sampled_from(["", "", "1d", "30d", "400d"])
POLICIES = st.builds(Policy, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, WITHIN, st.integers(1, 4)).filter(
    lambda policy: any(policy[:6]))


@settings(max_examples=300)
@given(BACKUPS, POLICIES)
def test_it_does_what_a_simple_model_does(backups, policy):
    assert kept(backups, policy) == model(backups, policy)


@settings(max_examples=300)
@given(BACKUPS, POLICIES, POLICIES)
def test_what_always_holds(backups, policy, other):
    decisions = _retention.decide(backups, policy)
    stay = {one.name for one in decisions if one.keep}
    counting = sorted((one.created, one.name) for one in backups if one.counts)
    assert [one.name for one in decisions] == [
        one.name for one in sorted(backups, key=lambda one: (one.created, one.name))]
    assert all(one.reasons for one in decisions)
    assert len(stay & {name for _created, name in counting}) >= min(policy.minimum, len(counting))
    assert {one.name for one in backups if one.pinned is not None} <= stay
    assert not counting or counting[-1][1] in stay
    assert counting or len(stay) == len(backups)
    left = [one for one in backups if one.name in stay]
    assert kept(left, policy) == stay  # a second time nothing more goes
    spans = ["", "1d", "30d", "400d"]
    generous = Policy(*map(max, policy[:5], other[:5]), max(policy.within, other.within, key=spans.index),
                      max(policy.minimum, other.minimum))
    assert stay <= kept(backups, generous)


@given(BACKUPS, POLICIES, st.integers(-10_000, 10_000))
def test_the_clock_of_now_does_not_matter(backups, policy, days):
    with pytest.MonkeyPatch.context() as patch:
        before = kept(backups, policy)
        patch.setattr(time, "time", lambda: START + days * DAY)
        assert kept(backups, policy) == before


def test_the_order_in_which_they_are_given_does_not_matter():
    backups = [good("a", 1), good("b", 1), bad("c", 1), good("d", 2, "")]
    assert len({frozenset(kept(list(one), Policy(last=1))) for one in itertools.permutations(backups)}) == 1
