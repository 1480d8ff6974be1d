"""The records' databases: every test that asks for one runs on SQLite and on PostgreSQL."""

import pytest

from headrace.records.database import Database

#: Seconds for which these wait for what somebody else holds; on a server a statement gets them too.
PATIENCE = 0.5


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def opens(request, tmp_path):
    """Opens the same database again and again, as several processes do."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    opened = []

    def open(patience=PATIENCE):
        opened.append(Database(tmp_path, url=url, patience=patience))
        return opened[-1]

    yield open
    for database in opened:
        await database.close()


@pytest.fixture
def database(opens):
    """A fresh database."""
    return opens()
