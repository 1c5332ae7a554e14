"""What every attack is made of: threat, region, projection, losses, search."""
