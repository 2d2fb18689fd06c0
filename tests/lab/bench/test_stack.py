"""Stack frames: reading the compiler's section, and which functions are the engine's."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from tradewind.lab.bench import elf, stack
from tradewind.lab.bench.context import Context, MeasureFailed, Skipped

ENGINE_FUNCTION = "_ZN16tradewind_engine6engine5apply17h0123456789abcdefE"
OTHER_FUNCTION = "_ZN5_core5table17h0123456789abcdefE"
needs_demangler = pytest.mark.skipif(shutil.which("c++filt") is None, reason="c++filt is not installed")


def leb128(value: int) -> bytes:
    written = b""
    while value >= 0x80:
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def library(frames: dict[str, int], *, cut: int = 0) -> bytes:
    """An ELF file with a symbol per function and a section of stack sizes, its last `cut` bytes missing."""
    names, symbols, sizes = b"\0", elf.SYMBOL.pack(0, 0, 0, 0, 0, 0), b""
    for index, (name, size) in enumerate(frames.items()):
        address = 0x1000 * (index + 1)
        symbols += elf.SYMBOL.pack(len(names), elf.FUNCTION, 0, 1, address, 16)
        names += name.encode() + b"\0"
        sizes += struct.pack("<Q", address) + leb128(size)
    sizes = sizes[: len(sizes) - cut]
    titles = b"\0.symtab\0.strtab\0.stack_sizes\0.shstrtab\0"
    offset, body, rows = 64, b"", [elf.SECTION.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]
    for title, kind, content, link in (
        (b".symtab", 2, symbols, 2),
        (b".strtab", 3, names, 0),
        (b".stack_sizes", 1, sizes, 0),
        (b".shstrtab", 3, titles, 0),
    ):
        at = titles.index(title)
        rows.append(elf.SECTION.pack(at, kind, 0, 0, offset + len(body), len(content), link, 0, 1, 0))
        body += content
    head = elf.MAGIC.ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, offset + len(body), 0, 64, 0, 0, 64, 5, 4
    )
    return head + body + b"".join(rows)


@pytest.mark.parametrize("size", [0, 127, 128, 4_095, 4_096, 1 << 20])
def test_every_frame_size_is_read_as_it_was_written(size: int) -> None:
    assert elf.stack_sizes(library({ENGINE_FUNCTION: size})) == {0x1000: size}


@needs_demangler
def test_the_engine_function_with_the_largest_frame_is_named_and_others_do_not_count() -> None:
    small = ENGINE_FUNCTION.replace("5apply", "5small")
    found = stack.frames(library({small: 100, ENGINE_FUNCTION: 4_096, OTHER_FUNCTION: 9_000}))
    assert (found["max_frame_bytes"], found["function"]) == (4_096, "tradewind_engine::engine::apply")
    assert found["functions"] == 2


@needs_demangler
def test_a_library_without_engine_functions_is_a_failure_and_no_zero() -> None:
    with pytest.raises(MeasureFailed, match="no stack size of an engine function"):
        stack.frames(library({OTHER_FUNCTION: 64}))


def test_a_cut_section_and_a_foreign_file_are_refused() -> None:
    with pytest.raises(elf.NotReadable, match="cut short"):
        elf.stack_sizes(library({ENGINE_FUNCTION: 4_096}, cut=1))
    with pytest.raises(MeasureFailed, match="cannot be read"):
        stack.frames(b"\x7fELF\x01\x01 a 32-bit file")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tradewind_engine::id::market_id", True),
        ("<tradewind_engine::engine::Engine<tradewind_engine::book::fast::FastBook>>::apply", True),
        ("<tradewind_engine::book::fast::FastBook as tradewind_engine::book::Book>::insert", True),
        ("<u64 as tradewind_engine::codec::Encode>::encode", True),
        ("core::slice::sort::driftsort_main::<tradewind_engine::wire::command::Kind>", False),
        ("<alloc::vec::Vec<tradewind_engine::order::Order>>::push", False),
        ("_core::tables::command_kinds", False),
        ("<tradewind_engine::streams::Stream>::setup", False),
    ],
)
def test_a_function_is_the_engines_when_it_is_defined_there(name: str, expected: bool) -> None:
    assert stack.is_engine(name) is expected


def test_without_cargo_or_sources_the_suite_is_skipped(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack, "find_cargo", lambda: None)
    if stack.source_root() is not None:
        with pytest.raises(Skipped, match="cargo is not installed"):
            stack.run(context)
    monkeypatch.setattr(stack, "source_root", lambda: None)
    with pytest.raises(Skipped, match="no source tree"):
        stack.run(context)


def test_a_build_that_fails_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_text("#!/bin/sh\necho 'error: no such option' >&2\nexit 101\n")
    cargo.chmod(0o755)
    with pytest.raises(MeasureFailed, match="status 101: error: no such option"):
        stack.build(str(cargo), tmp_path, limit_s=10.0)
