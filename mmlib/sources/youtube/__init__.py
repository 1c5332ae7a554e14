"""Sections of videos, fetched by yt-dlp: `fetch.fetch` is what sources call (docs/fetching.md)."""
