"""Reasons to trust, or not to trust, a robustness figure: each check passes, warns or fails."""
