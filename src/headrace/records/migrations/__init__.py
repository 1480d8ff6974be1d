"""The history of the tables. Alembic runs it inside a transaction that its caller has begun."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def configuration() -> Config:
    """Alembic's view of this package; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "headrace.records:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, in the caller's transaction."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
