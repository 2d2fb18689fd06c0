"""Records, field tables and generated files agree with the Rust definitions."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

import pytest
from exchange_world import OPERATOR, World, owner_key

from tradewind import _core
from tradewind.core import commands, generate
from tradewind.core.commands import _BUILDERS
from tradewind.core.errors import InvalidField
from tradewind.core.events import EVENT_TYPES
from tradewind.core.records import RecordCodec, codec, field_tables, record_sizes, struct_code

ROOT = Path(__file__).resolve().parents[2]


def test_fields_of_every_record_cover_it_without_gap_or_overlap() -> None:
    for name, fields in field_tables().items():
        position = 0
        for field, offset, numpy_type in fields:
            assert offset == position, (name, field)
            position += struct.calcsize("<" + struct_code(numpy_type))
        assert position == record_sizes()[name], name


def test_pack_and_unpack_return_the_same_values() -> None:
    for name in field_tables():
        record = RecordCodec(name)
        values: dict[str, int | bytes] = {}
        for number, (field, _, numpy_type) in enumerate(record.fields):
            width = int(numpy_type[2:]) if numpy_type.startswith("|V") else 0
            values[field] = bytes([number + 1]) * width if width else number + 1
        packed = record.pack(**values)
        assert len(packed) == record.size
        assert record.unpack(packed) == values


def test_pack_names_the_field_that_does_not_fit() -> None:
    with pytest.raises(InvalidField) as caught:
        codec("Posting").pack(owner=1, asset=1 << 16)
    assert (caught.value.record, caught.value.field, caught.value.given) == ("Posting", "asset", 1 << 16)
    assert caught.value.name == "PARAMETER_OUT_OF_BOUNDS"
    with pytest.raises(InvalidField, match="no such field"):
        codec("Posting").pack(assets=1)
    with pytest.raises(InvalidField, match="at most 16 bytes"):
        codec("CancelOrder").pack(target_key=bytes(17))


def test_dtype_reads_the_same_numbers_as_the_struct() -> None:
    numpy = pytest.importorskip("numpy")
    postings = codec("Posting").pack(owner=7, asset=2, line=131, sub=1, amount=-5) * 3
    array = numpy.frombuffer(postings, codec("Posting").dtype())
    assert array["amount"].tolist() == [-5, -5, -5]
    assert [row[4] for row in codec("Posting").iter(postings)] == array["amount"].tolist()


def test_every_builder_writes_what_the_field_tables_say() -> None:
    envelope = codec("Command")
    for name, builder in _BUILDERS.items():
        kind, op, payload = _core.command_kinds()[name]
        widths = [(field, code) for field, _, code in builder.payload_fields]
        values = [bytes([9]) * int(code[2:]) if code.startswith("|V") else 3 for _, code in widths]
        packed = builder.pack(bytes([1]) * 32, bytes([2]) * 32, 5, bytes([4]) * 16, 77, 6, *values)
        record = envelope.unpack(packed)
        assert (record["kind"], record["op"], record["length"]) == (kind, op, _core.COMMAND_SIZE)
        assert (record["sub"], record["shard"], record["valid_until_ns"]) == (5, 6, 77)
        assert (record["seq"], record["time_ns"], record["reserved"]) == (0, 0, 0)
        fields = dict(zip((field for field, _ in widths), values, strict=True))
        body = codec(payload).pack(**fields)
        assert record["payload"] == body + bytes(72 - len(body)), name


def test_builders_refuse_keys_of_the_wrong_length() -> None:
    world = World()
    with pytest.raises(InvalidField, match=r"PlaceOrder\.client_key"):
        commands.place_order(
            principal=OPERATOR, account=world.account(0), client_key=b"short", market=0, side=0, lots=1
        )
    with pytest.raises(InvalidField, match=r"PlaceOrder\.lots"):
        commands.place_order(
            principal=OPERATOR,
            account=world.account(0),
            client_key=world.key(),
            market=0,
            side=0,
            lots=1 << 63,
        )
    with pytest.raises(InvalidField, match=r"OpenAccount\.owner_key"):
        commands.open_account(principal=OPERATOR, client_key=world.key(), owner_key=owner_key(0)[:31])


def test_generated_files_are_what_the_tables_say_today() -> None:
    for path, text in generate.files().items():
        assert path.read_text() == text, f"{path.name} is stale: python -m tradewind.core.generate"


def test_the_page_of_errors_names_every_code_once_with_its_status() -> None:
    page = generate.files()[ROOT / "docs" / "errors.md"]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (\d+) \| (yes)? *\|", page, re.MULTILINE)
    catalogue = [
        (str(number), name, str(status), "yes" if retryable else "")
        for number, name, status, retryable, _ in _core.error_catalogue()
    ]
    assert rows == catalogue


def test_event_classes_declare_their_fields_in_the_order_of_the_wire() -> None:
    assert set(EVENT_TYPES) == {code for code, _ in _core.event_kinds().values()}
    for name, (code, body) in _core.event_kinds().items():
        event_type = EVENT_TYPES[code]
        assert event_type.__name__ == name
        visible = [field for field, _, _ in field_tables()[body] if not field.startswith("reserved")]
        declared = event_type.__struct_fields__
        assert list(declared[8:-1]) == visible
        assert declared[-1] == "postings"


def test_import_loads_neither_numpy_nor_the_database_toolkit() -> None:
    import subprocess

    program = (
        "import sys, tradewind, tradewind.core.events, tradewind.core.commands, tradewind.node.service;"
        "print([m for m in ('numpy', 'sqlalchemy', 'fastapi', 'nicegui') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_any_command_is_built_by_name_and_unknown_names_and_fields_are_refused() -> None:
    common = {"principal": bytes([1] * 32), "client_key": bytes([2] * 16)}
    named = commands.build("CloseMarket", market=7, **common)
    assert named == commands.close_market(market=7, **common)
    symbol = commands.build("RegisterFeed", symbol="BTC-USD", quorum=2, **common)
    assert RecordCodec("Command").unpack(symbol)["payload"].startswith(b"BTC-USD\0")
    for name, payload in (
        ("Close", {}),
        ("CloseMarket", {"outcome": 1}),
        ("CloseMarket", {"market": 2**32}),
        ("RegisterFeed", {"symbol": "S" * 17}),
        ("SetFeedSource", {"source": bytes(33)}),
    ):
        with pytest.raises(InvalidField):
            commands.build(name, **common, **payload)
