"""What is checked on a page."""

from __future__ import annotations

from html.parser import HTMLParser


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.findings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and "alt" not in given:
            self.findings += 1
        if tag == "a" and not (given.get("href") or given.get("id") or given.get("name")):
            self.findings += 1
        if tag == "iframe" and not given.get("title"):
            self.findings += 1


def findings(html: str) -> int:
    """Images without alternative text, links that lead nowhere, frames without a title."""
    checker = _Checker()
    checker.feed(html)
    checker.close()
    return checker.findings
