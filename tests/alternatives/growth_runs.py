"""What `make growth` might have measured, made up for tests."""

from benchmarks.growth.curves import CURVES
from benchmarks.growth.figures import CurveRun, Point, Run


def whole_run(others: float = 0.02, **changed: float) -> Run:
    """Every curve at every size, each figure 1 unless it is `changed`."""
    return Run(
        command="make growth",
        machine={"processor": "2 × Abacus", "file system": "ext4"},
        processors=2,
        curves=tuple(
            CurveRun(
                curve.name,
                "Bankbook 0.1.0, commit badcafe",
                "2026-11-22 20:00 UTC",
                100.0,
                4.0,
                tuple(
                    Point(size, {each.name: changed.get(each.name, 1.0) for each in curve.figures}, others)
                    for size in curve.sizes
                ),
            )
            for curve in CURVES
        ),
    )
