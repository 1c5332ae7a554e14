"""Media files in and out: probe, decode and encode, all by one ffmpeg binary."""
