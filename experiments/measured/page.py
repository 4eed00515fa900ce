"""The page of the docs that shows the kept tables, each between two comments."""

from __future__ import annotations

import re
from collections.abc import Mapping

from experiments.util.errors import UserError, nearest

_PLACE = re.compile(r"(<!-- table (?P<stem>\S+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def filled(page: str, tables: Mapping[str, str]) -> str:
    """``page`` with each table where it belongs, without its title and the notes beneath.

    Args:
        tables: rendered Markdown by stem.

    Raises:
        UserError: the page has a place for a table that is not kept.
    """

    def fill(place: re.Match[str]) -> str:
        stem = place["stem"]
        if stem not in tables:
            raise UserError(f"the page has a place for '{stem}', which is not kept{nearest(stem, tables)}")
        body = tables[stem].partition("\n- ")[0].split("\n", 2)[2]  # a title and an empty line come first
        return f"{place[1]}{body}\n{place[4]}"

    return _PLACE.sub(fill, page)
