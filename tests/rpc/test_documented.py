"""The page on the protocol names every error with the status that it travels as."""

import re

from tests.modules import REPOSITORY
from tiercel.rpc.status import CODES

PAGE = (REPOSITORY / "docs" / "protocol.md").read_text()


def test_the_page_names_every_error_with_its_status():
    rows = re.findall(r"^\| ([A-Z_]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted((code.name, error.__name__) for error, code in CODES.items())
