# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups of one stack stay. Pure.

The rules, of which one is enough for a backup to stay:
* It is pinned. For everything below, a pinned backup does not exist, but for the minimum.
* It counts, and the policy keeps it: one of the newest (last), the newest one of a day, ISO week, month or year in the
  host's local time, of as many of these as have a backup at all (daily ...), or not older than a time span before the
  newest one that counts (within). Never before now: a clock that was set wrong must not remove anything.
* It counts and is one of the newest ones, as many as the minimum.
* It does not count (it is incomplete or known to be damaged), and it is newer than the oldest one that the policy
  keeps, or the policy has nothing to keep.
"""
from __future__ import annotations

import calendar
import datetime
import re
from collections import namedtuple

from ._errors import UsageError

# name (str), created (seconds since the epoch), counts (bool: it is complete and not known to be bad), why_not (str, if
# it does not count), pinned (str: the reason, perhaps ""; None if it is not).
Candidate = namedtuple("Candidate", "name created counts why_not pinned")
# last, daily, weekly, monthly, yearly, minimum: int. within: str such as "30d", "" for none.
Policy = namedtuple("Policy", "last daily weekly monthly yearly within minimum", defaults=(0, 0, 0, 0, 0, "", 1))
# name (str), keep (bool), reasons (list of str).
Decision = namedtuple("Decision", "name keep reasons")

_SPAN = re.compile(r"(?:[0-9]{1,6}[hdwmy])+\Z")
_HOURS = {"h": 1, "d": 24, "w": 168}


def check(policy):
    """Raise UsageError if a Policy makes no sense, or keeps nothing."""
    numbers = policy._asdict()
    within = numbers.pop("within")
    for name, number in sorted(numbers.items()):
        if number < 0:
            raise UsageError("keep_%s is %d, which is no number of backups" % (name, number), "Give 0 or more.")
    if policy.minimum < 1:
        raise UsageError("keep_minimum is 0, but the newest good backup always stays", "Give 1 or more.")
    if within:
        _span(within)
    elif not any((policy.last, policy.daily, policy.weekly, policy.monthly, policy.yearly)):
        raise UsageError("The policy is empty: it would keep nothing",
                         "Give keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly or keep_within.")


def decide(candidates, policy):
    """Say of each backup of a stack whether it stays and why.

    :param candidates: list of Candidate, in any order. :param policy: Policy.
    :returns: list of Decision, the oldest backup first. :raises: UsageError.
    """
    check(policy)
    ordered = sorted(candidates, key=lambda one: (one.created, one.name))
    good = [one for one in reversed(ordered) if one.counts]  # the newest first
    kept = _kept([one for one in good if one.pinned is None], policy)
    oldest = next((one for one in ordered if one.name in kept), None)
    for number, one in enumerate(good[:policy.minimum], 1):
        if not kept.get(one.name):
            kept[one.name] = ["minimum %d of %d" % (number, policy.minimum)]
    return [_decision(one, kept.get(one.name, []), oldest) for one in ordered]


def _decision(one, reasons, oldest):
    if one.pinned is not None:
        return Decision(one.name, True, ["pinned: %s" % one.pinned if one.pinned else "pinned"] + reasons)
    if one.counts:
        return Decision(one.name, bool(reasons), reasons or ["no rule keeps it"])
    if oldest is None:
        return Decision(one.name, True, ["%s, and there is nothing better" % one.why_not])
    keep = (one.created, one.name) > (oldest.created, oldest.name)
    return Decision(one.name, keep, ["%s, %s than %s" % (one.why_not, "newer" if keep else "older", oldest.name)])


def _kept(good, policy):
    """Return {name: reasons} of what a policy keeps. :param good: list of Candidate, the newest first."""
    kept = {}
    for number, one in enumerate(good[:policy.last], 1):
        kept.setdefault(one.name, []).append("last %d of %d" % (number, policy.last))
    for rule, bucket in _BUCKETS.items():
        seen = set()
        for one in good:
            name = bucket(datetime.datetime.fromtimestamp(one.created))
            if name not in seen and len(seen) < getattr(policy, rule):
                seen.add(name)
                kept.setdefault(one.name, []).append("%s %s" % (rule, name))
    if policy.within and good:
        start = _before(good[0].created, policy.within)
        for one in good:
            if one.created >= start:
                kept.setdefault(one.name, []).append("within %s" % policy.within)
    return kept


def _week(moment):
    year, week, _day = moment.isocalendar()
    return "%d-W%02d" % (year, week)


_BUCKETS = {
    "daily": lambda moment: moment.strftime("%Y-%m-%d"),
    "weekly": _week,
    "monthly": lambda moment: moment.strftime("%Y-%m"),
    "yearly": lambda moment: moment.strftime("%Y"),
}


def _span(text):
    """Return a time span such as "1y6m" or "30d" as (months, hours); raise UsageError if it is none."""
    if not _SPAN.match(text):
        raise UsageError("keep_within is '%s', which is no time span" % text,
                         "Write 12h, 30d, 2w, 6m (months) or 1y, or several of these, such as 1y6m.")
    months = hours = 0
    for number, unit in re.findall(r"([0-9]+)([hdwmy])", text):
        months += int(number) * {"m": 1, "y": 12}.get(unit, 0)
        hours += int(number) * _HOURS.get(unit, 0)
    if not months and not hours:
        raise UsageError("keep_within is '%s', which is no time at all" % text, "Give a longer one, or leave it out.")
    return months, hours


def _before(seconds, text):
    """Return the time (seconds since the epoch) that is a time span before another; months as in a calendar."""
    months, hours = _span(text)
    if months:
        moment = datetime.datetime.fromtimestamp(seconds)
        month = moment.year * 12 + moment.month - 1 - months
        if month < 1971 * 12:  # before there were any backups, and where some clocks cannot count to
            return 0.0
        year, month = month // 12, month % 12 + 1
        day = min(moment.day, calendar.monthrange(year, month)[1])
        seconds = moment.replace(year=year, month=month, day=day).timestamp()
    return seconds - hours * 3600
