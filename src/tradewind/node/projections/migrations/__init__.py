"""The schema of the SQL projection in numbered steps, so that a newer build can open an older database.

A step is never edited after its release; a change of the tables is a new file in `versions/`. A test compares
what the steps build with the tables that `sql.py` writes to.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine

from tradewind.core.errors import TradewindError

VERSION_TABLE = "tw_schema"
_LATEST, _EMPTY = "head", "base"


class SchemaUnknown(TradewindError):
    """The database was written by a build with other steps."""

    name = "SCHEMA_UNKNOWN"
    http_status = 409


def upgrade(engine: Engine) -> None:
    """Runs the steps that the database does not have yet; does nothing when it has all of them.

    Raises:
        SchemaUnknown: its last step is not one of this build. sqlalchemy.exc.SQLAlchemyError: the database
            refused; nothing of the step is kept.
    """
    _run(engine, _LATEST)


def reset(engine: Engine) -> None:
    """Drops every table of the projection and makes empty ones.

    Raises:
        As `upgrade`.
    """
    _run(engine, _EMPTY)
    _run(engine, _LATEST)


def _run(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Python's driver begins by itself only before rows change: tables would be made one by one.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            step = command.downgrade if revision == _EMPTY else command.upgrade
            step(config, revision)
    except CommandError as error:
        raise SchemaUnknown(
            f"the tables of the projection belong to another build ({error}); "
            "drop the database, it is rebuilt from the journal"
        ) from error
