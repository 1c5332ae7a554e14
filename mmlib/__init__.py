"""Audio-visual robustness: data, models, attacks, metrics and reports behind the DVC stages."""
