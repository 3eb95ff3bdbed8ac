"""What is given to the driver itself gives what SQLAlchemy would."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import bindparam, func, insert, select, union_all, update
from sqlalchemy.exc import IntegrityError

from pileus.store import tables
from pileus.store.direct import LONGEST, Direct, Texts
from pileus.store.engine import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

_usage = tables.usage
_ADD = insert(_usage)
_ALL = select(_usage).order_by(_usage.c.scope, _usage.c.resource)
_IN = (
    select(_usage.c.scope, _usage.c.used + 1, (_usage.c.used * bindparam("times")).label("more"))
    .where(
        _usage.c.scope.in_(bindparam("scopes", expanding=True)), _usage.c.used >= 2, _usage.c.used <= bindparam("most")
    )
    .order_by(_usage.c.scope)
)
_MORE = update(_usage).where(_usage.c.scope == bindparam("of")).values(used=_usage.c.used + bindparam("by"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = Database(f"sqlite:///{tmp_path}/store.db")
    with engine.making() as making:
        tables.metadata.create_all(making)
    with engine.write() as writing:
        yield writing
    engine.close()


@pytest.fixture
def direct(connection: Connection) -> Direct:
    engine = connection.engine
    return Direct(connection, Texts(engine.dialect), engine.dialect.loaded_dbapi.Error)


def row(number: int) -> dict[str, Any]:
    return {"scope": f"s{number:03}'\u00e4", "resource": "disk", "used": number}


def test_rows_are_what_they_would_be(connection: Connection, direct: Direct) -> None:
    for number in range(3):
        assert direct.execute(_ADD, row(number)).rowcount == 1
    assert direct.execute(_ADD, [row(number) for number in range(3, 9)]).rowcount == 6
    for _ in range(3):
        for scopes in ([row(n)["scope"] for n in range(count)] for count in (1, 4, 9, 0, 4)):
            given = {"scopes": scopes, "most": 7, "times": 3}
            asked = connection.execute(_IN, given).all()
            assert [tuple(each) for each in asked] == direct.execute(_IN, given).all()
            assert [each.more for each in asked] == [each.more for each in direct.execute(_IN, given)]
        assert tuple(direct.execute(_ALL).first()) == tuple(connection.execute(_ALL).first() or ())
        assert direct.execute(_ALL).first()._asdict() == row(0)
        assert [*direct.execute(_ALL).scalars()] == [row(number)["scope"] for number in range(9)]


def test_rows_of_a_union_have_names(connection: Connection, direct: Direct) -> None:
    both = union_all(select(_usage.c.used.label("one")), select(func.count().label("one")).select_from(_usage))
    direct.execute(_ADD, row(5))
    for _ in range(3):
        assert [each.one for each in direct.execute(both).all()] == [5, 1]
        assert [each.one for each in connection.execute(both).all()] == [5, 1]


def test_what_is_changed_is_counted(direct: Direct) -> None:
    direct.execute(_ADD, [row(number) for number in range(3)])
    for used in (6, 11):
        assert direct.execute(_MORE, {"of": row(1)["scope"], "by": 5}).rowcount == 1
        assert direct.execute(_MORE, {"of": "nobody", "by": 5}).rowcount == 0
        assert direct.execute(_MORE, [{"of": row(n)["scope"], "by": 0} for n in range(5)]).rowcount == 3
        assert [each.used for each in direct.execute(_ALL)] == [0, used, 2]
    assert direct.execute(select(_usage.c.used).where(_usage.c.scope == "nobody")).scalar() is None


def test_errors_are_those_of_sqlalchemy_and_tell_no_values(direct: Direct) -> None:
    direct.execute(_ADD, row(1))
    with pytest.raises(IntegrityError) as caught:
        direct.execute(_ADD, row(1))
    assert "s001" not in str(caught.value)
    with pytest.raises(IntegrityError):
        direct.execute(_ADD, [row(2), row(1)])


def test_longer_lists_and_lists_of_other_parameters_are_taken(connection: Connection, direct: Direct) -> None:
    direct.execute(_ADD, [row(number) for number in range(LONGEST + 5)])
    for length in (LONGEST + 1, LONGEST, LONGEST + 1, 2):
        given = {"scopes": [row(n)["scope"] for n in range(length)], "most": 1 << 40, "times": 0}
        assert direct.execute(_IN, given).all() == [tuple(each) for each in connection.execute(_IN, given).all()]


def test_statements_that_live_for_one_execution_are_not_kept(connection: Connection) -> None:
    texts = Texts(connection.engine.dialect)
    direct = Direct(connection, texts, connection.engine.dialect.loaded_dbapi.Error)
    for number in range(5):
        direct.execute(select(_usage.c.used).where(_usage.c.scope == f"s{number}")).all()
    gc.collect()
    # SQLAlchemy's own cache holds the first of its kind.
    assert len(texts._kept) <= 1
