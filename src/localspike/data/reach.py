"""One request to a server: bounded in time, whatever the network does, and in where it may lead."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..errors import DataError

PATIENCE = 6.0
"""Seconds a server may take to answer; a network that lets nothing through is told in that time."""
LONGEST = 86_400.0
REDIRECTS = 5
AGENT = "localspike (https://pypi.org/project/localspike)"
TELLING = (http.client.REQUESTED_RANGE_NOT_SATISFIABLE,)


class Unreachable(Exception):
    """An address that gives no file, and why.

    >>> print(Unreachable("https://a.org/x.zip", "it says 404 Not Found"))
    https://a.org/x.zip: it says 404 Not Found
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url}: {why}")


class _FewRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, never from https to something weaker."""

    max_redirections, max_repeats = REDIRECTS, 1

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise Unreachable(req.full_url, f"it leads from {before} to {after}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def reach(url: str, patience: float = PATIENCE, have: int = 0, version: str = "") -> Any:
    """The answer to a request for ``url``, from byte ``have`` of ``version`` on if that is set.

    An answer has ``status``, ``headers``, ``url`` and ``read``, and is closed by ``with``. Raises
    Unreachable when there is none within ``patience`` seconds, or it is a refusal; DataError for
    a patience that cannot be.
    """
    check_patience(patience)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    return _within(patience, url, lambda: _open(url, headers, patience))


def check_patience(seconds: float) -> None:
    """Raise DataError unless ``seconds`` is above 0 and at most a day.

    >>> check_patience(6.0)
    """
    if not 0 < seconds <= LONGEST:
        raise DataError(
            "impossible patience", got=seconds, expected=f"0 < seconds <= {LONGEST:.0f}"
        )


def _open(url: str, headers: dict[str, str], patience: float) -> Any:
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.build_opener(_FewRedirects).open(request, timeout=patience)
    except urllib.error.HTTPError as error:
        if error.code in TELLING:
            return error
        raise Unreachable(url, _refusal(error)) from error
    except urllib.error.URLError as error:
        raise Unreachable(url, _said(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(url, _said(error)) from error


def _refusal(error: urllib.error.HTTPError) -> str:
    if "infinite loop" in str(error.reason):
        return "it leads in a circle"
    if "Redirection to url" in str(error.reason):
        return "it leads away from http"
    return f"it says {error.code} {error.reason}".rstrip()


def _said(reason: object) -> str:
    """Why there was no answer, in a few words."""
    if isinstance(reason, TimeoutError):
        return "no answer"
    if isinstance(reason, ssl.SSLError):
        return f"no trust in its certificate ({reason.reason or reason})"
    said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"no answer ({said})"


def _within(seconds: float, url: str, ask: Callable[[], Any]) -> Any:
    """What ``ask`` gives or raises, if it does so in time.

    A name server that does not answer, or many addresses of one host, can each take up a time-out
    of their own, so the clock is kept here; the thread is left to end by itself.
    """
    done: list[tuple[Any, BaseException | None]] = []

    def asked() -> None:
        try:
            done.append((ask(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done:
        raise Unreachable(url, f"no answer in {seconds:g} s")
    answer, error = done[0]
    if error is not None:
        raise error
    return answer
