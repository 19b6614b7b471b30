"""What content is accepted as, refused as, or refused whatever it is called.

Contract images.md §18.2, row by row.
"""

import contextlib
import io
import itertools
import shutil
import subprocess

import pytest

from imageservice import errors
from imageservice.data import inspect
from imageservice.data.inspect import Inspecting, Rules
from tests.databases import missing
from tests.unit.data import disks
from tests.unit.data.disks import MIB

RAW = b"\x7fELF" + bytes(3 * MIB)


def inspected(
    content: bytes,
    declared: str | None,
    container: str = "bare",
    piece: int = 100_000,
    **rules,
) -> int | None:
    """Pass ``content`` through; returns the virtual size."""
    reader = Inspecting(io.BytesIO(content), declared, container, Rules(**rules))
    while reader.read(piece):
        pass
    return reader.virtual_size


# --- what is what it is called ---


@pytest.mark.parametrize("piece", [511, MIB])
@pytest.mark.parametrize(
    ("content", "declared", "size"),
    [
        (disks.qcow2(), "qcow2", 10 * MIB),
        (disks.qcow2(version=2), "qcow2", 10 * MIB),
        (disks.vmdk(), "vmdk", 10 * MIB),
        (disks.vmdk("streamOptimized"), "vmdk", 10 * MIB),
        (disks.vdi(), "vdi", 10 * MIB),
        (disks.vhd(), "vhd", 10 * MIB),
        (disks.iso(), "iso", 300 * 2048),
        (disks.iso(hybrid=True), "iso", 300 * 2048),
        (disks.gpt(), "gpt", MIB),
        (disks.mbr(), "gpt", MIB),
        (disks.luks(), "luks", MIB),
        (disks.gpt(), "raw", MIB),
        (disks.mbr(2 * MIB + 3), "raw", 2 * MIB + 3),
        (disks.luks(), "raw", 4096 * 512 + MIB),
        (disks.qcow2(), "raw", 65536),
        (disks.iso(), "raw", 300 * 2048),
        (b"short", "raw", 5),
        (b"just a text\n" * 100, "raw", 1200),
        (b"t" * 600 + "ï".encode(), "raw", 602),
        (b"", "raw", None),
        (b"short", "ami", None),
        (b"", "aki", None),
    ],
)
def test_content_is_accepted_with_its_virtual_size(content, declared, size, piece):
    assert inspected(content, declared, piece=piece) == size


@pytest.mark.parametrize("declared", ["raw", "ari", "aki", "ami", "ploop"])
def test_content_that_nobody_knows_is_raw_or_of_a_kind_nobody_looks_into(declared):
    size = len(RAW) if declared == "raw" else None

    assert inspected(RAW, declared) == size


# --- what is something else ---


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (RAW, "qcow2"),
        (b"", "qcow2"),
        (disks.qcow2(), "vmdk"),
        (disks.qcow2(), "ami"),
        (disks.qcow2(), "ploop"),
        (disks.gpt(), "qcow2"),
        (disks.mbr(), "aki"),
        (disks.iso(hybrid=True), "gpt"),
        (disks.qcow2()[:32768] + disks.iso()[32768:], "qcow2"),
        (disks.qcow2()[:32768] + disks.iso()[32768:], "iso"),
        (disks.qcow2()[:32768] + disks.iso()[32768:], "raw"),
    ],
)
def test_a_mismatch_is_refused_unless_matches_are_not_required(content, declared):
    with pytest.raises(errors.FormatMismatch):
        inspected(content, declared)

    assert inspected(content, declared, match_required=False) is None


def test_a_mismatch_is_refused_long_before_the_end():
    class Endless:
        sent = 0

        def read(self, size):
            self.sent += size
            assert self.sent < 4 * MIB
            return bytes(size)

    reader = Inspecting(Endless(), "qcow2", "bare", Rules())

    with pytest.raises(errors.FormatMismatch, match="looks like raw"):
        all(reader.read(65536) for _ in itertools.count())


# --- what is unsafe, whatever it is called ---

UNSAFE = [
    pytest.param(disks.qcow2(backing=512), id="qcow2-backing-file"),
    pytest.param(disks.qcow2(features=1 << 2), id="qcow2-data-file"),
    pytest.param(disks.qcow2(features=1 << 5), id="qcow2-unknown-feature"),
    pytest.param(disks.qcow2(features=1 << 63), id="qcow2-highest-feature"),
    pytest.param(disks.qcow2(version=1), id="qcow1"),
    pytest.param(disks.qcow2(size=2**64 - 1), id="qcow2-impossible-size"),
    pytest.param(disks.qcow2(backing=104)[:300], id="qcow2-cut-short"),
    pytest.param(disks.qed(), id="qed"),
    pytest.param(disks.vmdk("monolithicFlat"), id="vmdk-flat"),
    pytest.param(disks.vmdk(text=b""), id="vmdk-no-descriptor"),
    pytest.param(disks.vmdk(place=2), id="vmdk-descriptor-elsewhere"),
    pytest.param(
        disks.vmdk(
            text=disks.descriptor("monolithicSparse", 'RW 1 FLAT "/etc/passwd" 0')
        ),
        id="vmdk-extent-with-path",
    ),
    pytest.param(
        disks.descriptor("monolithicFlat", 'RW 1 FLAT "/etc/passwd" 0').ljust(
            600, b"#"
        ),
        id="vmdk-text-alone",
    ),
    pytest.param(
        disks.descriptor("monolithicSparse").ljust(600, b"\n"), id="vmdk-text-sparse"
    ),
    pytest.param(
        b"# Disk DescriptorFile\n"
        + b"# padding\n" * 20_000
        + disks.descriptor("monolithicFlat", 'RW 1 FLAT "/etc/passwd" 0'),
        id="vmdk-text-far-behind",
    ),
    pytest.param(disks.luks(version=2), id="luks2"),
    pytest.param(disks.disk(disks.partition(0xEE, lba=7)), id="gpt-elsewhere"),
    pytest.param(
        disks.disk(disks.partition(0xEE), disks.partition(0x83)), id="gpt-and-more"
    ),
    pytest.param(disks.disk(), id="mbr-empty"),
    pytest.param(disks.disk(disks.partition(0x83, boot=0x42)), id="mbr-odd-flag"),
]


@pytest.mark.parametrize("piece", [700, MIB])
@pytest.mark.parametrize("declared", ["raw", "qcow2", "ami"])
@pytest.mark.parametrize("content", UNSAFE)
def test_unsafe_content_is_refused_whatever_it_is_called(content, declared, piece):
    with pytest.raises(errors.ContentUnsafe):
        inspected(content, declared, piece=piece, match_required=False)


def test_a_descriptor_with_odd_letters_is_no_way_round():
    text = disks.descriptor("monolithicFlat", 'RW 1 FLAT "/etc/passwd" 0')
    content = text.ljust(600, b"\n") + "# naïve".encode()

    with pytest.raises(errors.FormatMismatch, match="broken vmdk"):
        inspected(content, "raw")


def test_operators_can_tolerate_odd_partition_tables():
    odd = disks.disk(disks.partition(0x83, boot=0x42))

    assert inspected(odd, "raw", gpt_tolerated=frozenset({"mbr"})) == MIB


def test_operators_can_forbid_subformats():
    with pytest.raises(errors.ContentUnsafe, match="streamoptimized"):
        inspected(
            disks.vmdk("streamOptimized"),
            "vmdk",
            vmdk_types=frozenset({"monolithicsparse"}),
        )


def test_a_kernel_with_a_boot_sector_is_a_mismatch_not_a_danger():
    with pytest.raises(errors.FormatMismatch):
        inspected(disks.disk(disks.partition(0x83, boot=0x42)), "aki")


# --- other containers ---


@pytest.mark.parametrize("container", ["ova", "docker", "compressed", "ami", "ovf"])
@pytest.mark.parametrize("content", UNSAFE[:13])
def test_an_unsafe_disk_is_refused_in_any_container(content, container):
    """Weakness ✗56, with an option."""
    with pytest.raises(errors.ContentUnsafe):
        inspected(content, "raw", container)

    assert inspected(content, "raw", container, all_containers=False) is None


@pytest.mark.parametrize(
    "content", [RAW, b"", disks.qcow2(), disks.disk(), disks.luks(version=2)]
)
def test_other_content_of_a_container_is_not_judged(content):
    assert inspected(content, "vmdk", "ova") is None


# --- files as tools make them ---


@pytest.mark.parametrize(
    ("declared", "arguments"),
    [
        ("qcow2", ["-f", "qcow2"]),
        ("qcow2", ["-f", "qcow2", "-o", "compat=0.10"]),
        ("qcow2", ["-f", "qcow2", "-o", "cluster_size=2M,lazy_refcounts=on"]),
        ("vmdk", ["-f", "vmdk"]),
        ("vmdk", ["-f", "vmdk", "-o", "subformat=streamOptimized"]),
        ("vdi", ["-f", "vdi"]),
        ("vhd", ["-f", "vpc"]),
        ("vhdx", ["-f", "vhdx"]),
        ("raw", ["-f", "raw"]),
    ],
)
def test_what_qemu_makes_is_recognised(tmp_path, declared, arguments):
    content = disks.made_by_qemu(tmp_path / "disk", *arguments, "64M")

    size = inspected(content, declared)

    assert size is not None
    assert 64 * MIB <= size < 65 * MIB  # a VHD is rounded up to whole cylinders


def test_a_converted_stream_keeps_its_footer(tmp_path):
    disks.made_by_qemu(tmp_path / "raw", "-f", "raw", "8M")
    (tmp_path / "raw").write_bytes(b"x" * (8 * MIB))
    subprocess.run(
        ["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized",
         "-f", "raw", tmp_path / "raw", tmp_path / "vmdk"],
        check=True,
    )  # fmt: skip

    assert inspected((tmp_path / "vmdk").read_bytes(), "vmdk") == 8 * MIB


@pytest.mark.parametrize(
    "options", ["backing_file=/etc/passwd,backing_fmt=raw", "data_file=data"]
)
def test_what_qemu_makes_with_files_beside_it_is_unsafe(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    content = disks.made_by_qemu(
        tmp_path / "disk", "-u", "-f", "qcow2", "-o", options, "64M"
    )

    with pytest.raises(errors.ContentUnsafe):
        inspected(content, "raw")


def test_an_iso_is_recognised(tmp_path):
    if shutil.which("genisoimage") is None:
        missing("genisoimage is not installed")
    (tmp_path / "file").write_bytes(b"x" * MIB)
    subprocess.run(
        ["genisoimage", "-quiet", "-o", tmp_path / "iso", tmp_path / "file"], check=True
    )

    size = inspected((tmp_path / "iso").read_bytes(), "iso")

    assert size
    assert size >= MIB


# --- never a fault of ours ---


@pytest.mark.parametrize("declared", ["raw", "qcow2", "vmdk", "vhdx", "luks", "iso"])
@pytest.mark.parametrize("cut", [1, 3, 63, 64, 65, 104, 511, 512, 513, 591, 600, 33000])
@pytest.mark.parametrize(
    "whole",
    [
        disks.qcow2(),
        disks.vmdk(),
        disks.luks(),
        disks.iso(),
        disks.gpt(),
        b"vhdxfile" + bytes(196600) + b"regi" + b"\xff" * 60 + bytes(MIB),
        disks.descriptor("monolithicFlat") * 300,
    ],
    ids=["qcow2", "vmdk", "luks", "iso", "gpt", "vhdx", "text"],
)
def test_a_file_cut_anywhere_is_judged_and_nothing_else(whole, cut, declared):
    with contextlib.suppress(errors.FormatMismatch, errors.ContentUnsafe):
        inspected(whole[:cut], declared)


def test_the_rules_come_from_options():
    values = {opt.dest: opt.default for opt in inspect.OPTS}

    assert Rules.from_options(values) == Rules()
