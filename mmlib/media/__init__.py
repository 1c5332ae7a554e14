"""Media files in and out: measure, decode and encode, all by one ffmpeg binary."""
