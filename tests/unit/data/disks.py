"""Disk images for tests: the beginnings of each format, and qemu-img's own where it is."""

import shutil
import struct
import subprocess
from pathlib import Path

from tests.databases import missing

MIB = 1024 * 1024


def qcow2(
    *, version: int = 3, backing: int = 0, features: int = 0, size: int = 10 * MIB
) -> bytes:
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 8, 16, size)
    head += bytes(72 - len(head)) + struct.pack(">QQQII", features, 0, 0, 4, 104)
    return head.ljust(65536, b"\0")


def qed() -> bytes:
    return b"QED\0".ljust(65536, b"\0")


def partition(
    kind: int, *, boot: int = 0, chs: bytes = b"\0\2\0", lba: int = 1
) -> bytes:
    return struct.pack("<B3sB3sII", boot, chs, kind, b"\xff\xff\xff", lba, 2**16)


def disk(*partitions: bytes, size: int = MIB) -> bytes:
    """A disk with a partition table: an MBR, or a GPT's protective one."""
    table = b"".join(partitions).ljust(64, b"\0")
    return (bytes(446) + table + b"\x55\xaa").ljust(size, b"\0")


def mbr(size: int = MIB) -> bytes:
    return disk(partition(0x83, boot=0x80, lba=2048), size=size)


def gpt(size: int = MIB) -> bytes:
    return disk(partition(0xEE), size=size)


def iso(*, blocks: int = 300, hybrid: bool = False) -> bytes:
    descriptor = b"\1CD001\1".ljust(80, b"\0") + struct.pack("<I", blocks)
    descriptor = descriptor.ljust(128, b"\0") + struct.pack("<H", 2048)
    system = mbr(32768) if hybrid else bytes(32768)
    return system + descriptor.ljust(2048, b"\0") + bytes(blocks * 2048 - 34816)


def luks(*, version: int = 1, payload: int = 4096) -> bytes:
    """``payload`` in sectors is where the encrypted data begins."""
    head = struct.pack(
        ">6sH32s32s32sII",
        b"LUKS\xba\xbe",
        version,
        b"aes",
        b"xts",
        b"sha256",
        payload,
        32,
    )
    return head.ljust(payload * 512 + MIB, b"\0")


def vdi(size: int = 10 * MIB) -> bytes:
    head = bytes(64) + struct.pack("<I", 0xBEDA107F)
    return (head.ljust(0x170, b"\0") + struct.pack("<Q", size)).ljust(4096, b"\0")


def vhd(size: int = 10 * MIB) -> bytes:
    return (b"conectix".ljust(40, b"\0") + struct.pack(">Q", size)).ljust(4096, b"\0")


def descriptor(kind: str, extent: str = 'RW 20480 SPARSE "disk.vmdk"') -> bytes:
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        "CID=1",
        f'createType="{kind}"',
        extent,
    ]
    return ("\n".join(lines) + "\n").encode()


def vmdk(
    kind: str = "monolithicSparse",
    *,
    text: bytes | None = None,
    sectors: int = 20480,
    place: int = 1,
) -> bytes:
    head = struct.pack(
        "<4sIIQQQQIQQ", b"KDMV", 1, 3, sectors, 128, place, 20, 512, 21, 26
    )
    text = descriptor(kind) if text is None else text
    return head.ljust(512, b"\0") + text.ljust(20 * 512, b"\0") + bytes(65536)


def made_by_qemu(path: Path, *arguments: str) -> bytes:
    if shutil.which("qemu-img") is None:
        missing("qemu-img is not installed")
    subprocess.run(
        ["qemu-img", "create", "-q", *arguments[:-1], str(path), *arguments[-1:]],
        check=True,
    )
    return path.read_bytes()
