"""The numbered steps build exactly the tables that the projection writes to, from any state."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tradewind.node.projections import migrations, sql


@pytest.fixture
def engine(tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "50% full"
    folder.mkdir()
    engine = sa.create_engine(f"sqlite:///{folder / 'views.db'}")
    yield engine
    engine.dispose()


def differences(engine) -> list[object]:  # type: ignore[no-untyped-def]
    with engine.connect() as connection:
        options = {"version_table": migrations.VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), sql.metadata)


def versions(engine) -> list[str]:  # type: ignore[no-untyped-def]
    with engine.connect() as connection:
        return list(connection.scalars(sa.text(f"SELECT version_num FROM {migrations.VERSION_TABLE}")))


def test_steps_from_an_empty_database_build_the_tables_of_the_projection(engine) -> None:  # type: ignore[no-untyped-def]
    assert len(differences(engine)) >= len(sql.metadata.tables)
    migrations.upgrade(engine)
    assert differences(engine) == []


def test_a_column_without_a_step_is_found(engine) -> None:  # type: ignore[no-untyped-def]
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE tw_orders DROP COLUMN reason"))
    [difference] = differences(engine)
    assert difference[0] == "add_column" and difference[3].name == "reason"


def test_a_second_upgrade_keeps_rows_and_version(engine) -> None:  # type: ignore[no-untyped-def]
    migrations.upgrade(engine)
    first = versions(engine)
    with engine.begin() as connection:
        connection.execute(sql.assets.insert().values(asset=3, symbol="BTC"))
    migrations.upgrade(engine)
    assert versions(engine) == first and len(first) == 1
    with engine.connect() as connection:
        assert connection.execute(sa.select(sql.assets)).all() == [(3, "BTC")]


def test_reset_leaves_empty_tables_of_the_same_schema(engine) -> None:  # type: ignore[no-untyped-def]
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sql.assets.insert().values(asset=3, symbol="BTC"))
    migrations.reset(engine)
    assert differences(engine) == []
    with engine.connect() as connection:
        assert connection.execute(sa.select(sql.assets)).all() == []


def test_a_database_of_a_newer_build_is_refused_and_left_alone(engine) -> None:  # type: ignore[no-untyped-def]
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(migrations.SchemaUnknown, match="9999"):
        sql.SqlProjection(str(engine.url))
    assert versions(engine) == ["9999"] and differences(engine) == []


def test_a_step_that_fails_leaves_nothing_behind(engine) -> None:  # type: ignore[no-untyped-def]
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE tw_orders (foreign_tool INTEGER)"))
    with pytest.raises(sa.exc.OperationalError, match="tw_orders"):
        migrations.upgrade(engine)
    assert sa.inspect(engine).get_table_names() == ["tw_orders"]
