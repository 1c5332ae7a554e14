"""What a visit came to: the class of its failure, and what that class calls for."""

import re
from dataclasses import dataclass
from typing import Any

# Worth another try in a while.
TRANSIENT = frozenset(
    {
        *("rate_limited", "refused", "server_error", "connection", "stalled", "timeout"),
        *("truncated", "empty"),
    }
)
# The video's own answer is none of these: many in a row mean that the site refuses us, that the
# network is down, or that yt-dlp is too old for the site.
NO_ANSWER = frozenset(
    {
        *("rate_limited", "refused", "server_error", "connection", "stalled", "timeout"),
        *("extractor", "no_format"),
    }
)
# The first that fits counts: a rate limit, too, is worded as "Video unavailable".
_WORDS = (
    ("rate_limited", r"rate.?limit|too many requests|try again later"),
    ("refused", r"not a bot|captcha|unusual traffic|anti-bot|login required"),
    ("age_restricted", r"confirm your age|age.?restricted|inappropriate for some users"),
    ("private", r"private video|video is private|members.only|join this channel|premium members"),
    ("region_blocked", r"in your country|in your location|geo.?restrict|from your location"),
    ("live", r"live event|premieres in|is offline|not currently live"),
    ("no_format", r"requested format|no video formats|drm protected"),
    ("gone", r"video (is )?unavailable|not available|removed|terminated|does not exist|deleted"),
)
_STATUS = re.compile(r"(?:Server returned|HTTP error|HTTP Error) (\d)(\d\d|XX)")
_STALLED = re.compile(r"timed out|timeout", re.IGNORECASE)
_CONNECTION = re.compile(
    r"Connection (?:reset|refused|aborted)|Network is unreachable|Name or service not known"
    r"|Temporary failure in name resolution|Remote end closed|Broken pipe|IO error: End of file",
    re.IGNORECASE,
)
# ffmpeg ends with status 0 when its input breaks off: what it complains of tells.
_BROKEN_OFF = re.compile(
    r"\[error\][^\n]*(?:Input/output error|Stream ends prematurely|partial file"
    r"|Connection reset|Connection timed out|Error in the pull function|IO error)"
)


@dataclass(frozen=True)
class Failure:
    """Why a visit gave no clip; `wait_s` is what the site asked for in Retry-After, if it did."""

    kind: str
    message: str
    wait_s: float | None = None


def classify(report: dict[str, Any], log: str) -> Failure:
    """The class of a report with an error (see `child`); `log` is what ffmpeg and yt-dlp wrote."""
    message = re.sub(r"^ERROR: ", "", str(report["message"]))[:500]
    return Failure(_kind(report, message, log), message, _seconds(report.get("retry_after")))


def broken_off(log: str) -> Failure | None:
    """Tell from ffmpeg's log whether its input ended too early, whatever its exit status says."""
    found = _BROKEN_OFF.search(log)
    if found is None:
        return None
    line = found[0].removeprefix("[error] ")
    return Failure("stalled" if _STALLED.search(line) else "truncated", line)


def _kind(report: dict[str, Any], message: str, log: str) -> str:
    status = report.get("status")
    # Other requests of the visit may have failed without harm; those of ffmpeg are its end.
    said = message + log if "ffmpeg exited" in message else message
    if status is None and (match := _STATUS.search(said)):
        status = int(match[1] + match[2].replace("XX", "00"))
    if by_status := _kind_of_status(status):
        return by_status
    for kind, words in _WORDS:
        if re.search(words, message, re.IGNORECASE):
            return kind
    text = message + "\n" + log
    if _STALLED.search(text):
        return "stalled"
    causes = set(report.get("causes", ()))
    if _CONNECTION.search(text) or causes & {"TransportError", "SSLError", "ProxyError"}:
        return "connection"
    if "IncompleteRead" in causes or "ContentTooShortError" in causes or broken_off(log):
        return "truncated"
    if re.search(r"file is empty|nothing was written", text):
        return "empty"
    if "ffmpeg exited" in message:
        return "undecodable"
    return "extractor"


def _kind_of_status(status: int | None) -> str | None:
    if status is None:
        return None
    if status in (404, 410):
        return "gone"
    if status == 451:
        return "region_blocked"
    if status == 429:
        return "rate_limited"
    if status == 408:
        return "stalled"
    if status >= 500:
        return "server_error"
    return "refused" if status >= 400 else None


def _seconds(text: object) -> float | None:
    # The other form, a date, is rare: the back-off serves then.
    return float(text) if isinstance(text, str) and text.isdecimal() else None
