"""What of a log line a fingerprint leaves out: where in the source it comes from, in the forms that loggers write."""

from __future__ import annotations

import pytest

from relaysim.sim.trace.source_lines import without_source_lines


@pytest.mark.parametrize(
    ("text", "digested"),
    [
        ('File "/srv/my bots/bot.py", line 12, in handle', 'File "bot.py", line , in handle'),
        (
            r'{"exception": "File \"/srv/bot.py\", line 12, in handle\n"}',
            r'{"exception": "File \"bot.py\", line , in handle\n"}',
        ),
        (r'File "C:\bots\bot.py", line 3', 'File "bot.py", line '),
        ('File "<string>", line 1, in <module>', 'File "<string>", line , in <module>'),
        ("bots/my-bot.py:12: no answer", "my-bot.py: no answer"),
        ("pathname=/srv/app/bot.py lineno=12 said", "pathname=bot.py lineno= said"),
        ('{"pathname": "/srv/bot.py", "lineno": 12, "n": 3}', '{"pathname": "bot.py", "lineno": , "n": 3}'),
        ('"where": ["shop.bot:7", "shop.sending:19"]', '"where": ["shop.bot", "shop.sending"]'),
        ("shop.bot:handle:42 - shop.bot:<module>:1", "shop.bot:handle - shop.bot:<module>"),
    ],
)
def test_a_place_in_the_source_is_left_out(text: str, digested: str) -> None:
    assert without_source_lines(text) == digested


@pytest.mark.parametrize(
    "text",
    [
        '{"timestamp": "2025-11-04T12:00:07.224024Z", "epoch": 1, "message": "c1.m1#2"}',
        "12:00:01.500 attempt 2/3, waited 4.5s",
        "POST http://api.example.com:8080/v1/threads/7",
        "lease relay:lease:12 of c1.m1 at a.b:12:30",
        "JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "run run_1: and/or 3 of 4",
    ],
)
def test_everything_else_is_digested(text: str) -> None:
    assert without_source_lines(text) == text
