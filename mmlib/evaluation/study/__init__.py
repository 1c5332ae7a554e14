"""Ways to retrain, each under several seeds: trained, attacked and scored alike."""
