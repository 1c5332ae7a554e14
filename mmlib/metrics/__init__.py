"""Every figure: scores, intervals, geometry; numpy alone (docs/metrics.md)."""
