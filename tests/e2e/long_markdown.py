"""A long answer with everything in it that answers have, the same every time."""

from itertools import cycle

#: Apart by lines of five dashes; ``{n}`` is counted.
_TEXT = """\
## Part {n}: how streams are kept
-----
A stream that is *kept* can be **left and rejoined**: the server writes each record before anybody sees it, and a
reader who comes back says what was [seen last](https://docs.example/streams/{n}). See also `Last-Event-ID`.
-----
- the first point, with `code` and **weight**
- the second point, which is longer than the first one is
  - one below it
  - another
- the last
-----
```python
async def part_{n}(records: list[int]) -> int:
    # what is kept is summed
    return sum(record for record in records if record > {n})
```
-----
**重要：**这是测试。数据流{n}会被保存，读者可以随时离开，也可以随时回来。
-----
| name | count | share |
|:-----|------:|:-----:|
| completed | {n} | 98 % |
| failed | 2 | 2 % |
-----
> What is quoted here, with *emphasis*,
> goes on in a second line.
-----
1. Start an answer.
2. Leave it.
3. Come back; nothing is lost.
"""  # noqa: RUF001

#: Characters of a token, about.
_TOKEN = 4


def long_text(tokens: int) -> str:
    """Markdown of at least so many tokens."""
    text = ""
    for number, part in enumerate(cycle(_TEXT.split("-----\n")), 1):
        if len(text) >= tokens * _TOKEN:
            break
        text += part.replace("{n}", str(number)) + "\n"
    return text
