"""What the bytes of an image really are, found out while they pass.

The content has to be what ``disk_format`` says, and must not make whoever opens it read
files of his own host (backing files, external data files, descriptors). The rules are
those of contract images.md §18.2.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from oslo_config import cfg, types
from oslo_utils.imageutils.format_inspector import (
    FileInspector,
    ImageFormatError,
    SafetyCheckFailed,
    VMDKInspector,
)

from imageservice import errors
from imageservice.data.formats import KNOWN, Findings, Formats
from imageservice.data.readers import Passing
from imageservice.stores.driver import Reader

GROUP = "image_format"

OPTS: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "require_image_format_match",
        default=True,
        help="Refuse content that is not what disk_format says. Content that is unsafe "
        "to open is refused whatever is set here.",
    ),
    cfg.ListOpt(
        "gpt_safety_checks_nonfatal",
        default=[],
        item_type=types.String(choices=["mbr", "gptmbr"]),
        help="Checks of partition tables whose failure does not make an image unsafe: "
        "mbr, gptmbr. For guests that only boot with odd partition tables.",
    ),
    cfg.ListOpt(
        "vmdk_allowed_types",
        default=["streamOptimized", "monolithicSparse"],
        help="Subformats of VMDK that are accepted; empty for none. Others than the two "
        "of the default name files of the host, and are refused as unsafe anyway.",
    ),
    cfg.BoolOpt(
        "check_all_containers",
        default=True,
        help="Refuse what is itself an unsafe qcow2, vmdk or qed file also when its "
        "container_format is another than bare. What lies inside archives is not seen.",
    ),
)

OPENED_BY_CONTENT = frozenset({"qcow2", "vmdk", "qed"})
"""Formats that can name other files, and that tools recognise without being told."""

LARGEST = 2**63 - 1
"""Bytes of virtual size that the database can record."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """How strict to be; see OPTS."""

    match_required: bool = True
    gpt_tolerated: frozenset[str] = frozenset()
    vmdk_types: frozenset[str] = frozenset({"streamoptimized", "monolithicsparse"})
    all_containers: bool = True

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Take the values of OPTS, by option name."""
        return cls(
            match_required=options["require_image_format_match"],
            gpt_tolerated=frozenset(options["gpt_safety_checks_nonfatal"]),
            vmdk_types=frozenset(
                kind.lower() for kind in options["vmdk_allowed_types"]
            ),
            all_containers=options["check_all_containers"],
        )


class Inspecting(Passing):
    """Finds out the format of what it passes on, and raises when that may not be.

    Raises FormatMismatch and ContentUnsafe as soon as it is clear, mostly after the first
    MiB, and at the end of the data at the latest.
    """

    def __init__(
        self,
        inner: Reader,
        disk_format: str | None,
        container_format: str | None,
        rules: Rules,
    ) -> None:
        super().__init__(inner)
        self._declared = disk_format
        self._bare = container_format == "bare"
        self._rules = rules
        self._formats: Formats | None = None
        if self._bare or rules.all_containers:
            self._formats = Formats()
        self._findings: Findings | None = None
        self._size = 0
        self.virtual_size: int | None = None  # bytes; known at the end of the data

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._fill(buffer)
        if count and self._formats and not self._findings:
            self._formats.feed(buffer[:count])
        self.passed(count)
        return count

    def passed(self, count: int) -> None:
        self._size += count
        if not self._formats:
            return
        if not self._findings and (count == 0 or not self._formats.curious):
            self._findings = self._formats.end()
            self._judge(self._findings)
        if count == 0 and self._findings:
            self.virtual_size = self._judge(self._findings)

    def _judge(self, findings: Findings) -> int | None:
        if not self._bare:
            refuse_unsafe_inside(findings, self._rules)
            return None
        return verdict(self._declared, self._size, findings, self._rules)


def verdict(
    declared: str | None, size: int, findings: Findings, rules: Rules
) -> int | None:
    """Judge what was found against ``declared``; returns the virtual size in bytes.

    ``size`` is the number of bytes so far, for formats that have no size of their own.
    Raises ContentUnsafe, FormatMismatch.
    """
    found = _without_hybrid(findings.matches)
    for inspector in found:
        refuse_unsafe(inspector, declared, rules)
    names = " and ".join(str(inspector) for inspector in found) or "raw"
    if findings.unclear:
        names = f"a broken {findings.unclear[0]}"
    elif len(found) < 2:
        if declared == "raw":
            return size or None
        if names == declared:
            return _virtual_size(found[0], size)
        if not found and declared not in KNOWN:
            return None
    if rules.match_required:
        raise errors.FormatMismatch(found=names, declared=declared)
    return None


def _without_hybrid(found: Sequence[FileInspector]) -> Sequence[FileInspector]:
    """An ISO image that also boots from a disk has a partition table: it is an ISO."""
    if {inspector.NAME for inspector in found} == {"iso", "gpt"}:
        return [inspector for inspector in found if inspector.NAME == "iso"]
    return found


def _virtual_size(inspector: FileInspector, size: int) -> int | None:
    if inspector.NAME == "gpt":
        return size
    if inspector.NAME == "luks":
        # The inspector takes what it has seen for the whole.
        return size - (inspector.actual_size - inspector.virtual_size)
    return inspector.virtual_size or None


def refuse_unsafe_inside(findings: Findings, rules: Rules) -> None:
    """For containers: what tools would open as a disk although it is called otherwise."""
    for inspector in findings.matches:
        if inspector.NAME in OPENED_BY_CONTENT:
            refuse_unsafe(inspector, None, rules)


def refuse_unsafe(inspector: FileInspector, declared: str | None, rules: Rules) -> None:
    """Raise ContentUnsafe unless the content passes the checks of its format."""
    reason = _danger(inspector, _tolerated(inspector, declared, rules), rules)
    if reason:
        raise errors.ContentUnsafe(reason=f"{inspector}: {reason}")


def _tolerated(
    inspector: FileInspector, declared: str | None, rules: Rules
) -> frozenset[str]:
    if inspector.NAME != "gpt":
        return frozenset()
    kernel = declared in ("aki", "ari")
    return rules.gpt_tolerated | {"mbr"} if kernel else rules.gpt_tolerated


def _danger(
    inspector: FileInspector, tolerated: frozenset[str], rules: Rules
) -> str | None:
    """What is unsafe about the content, None if nothing is."""
    try:
        inspector.safety_check()
    except SafetyCheckFailed as error:
        fatal = sorted(set(error.failures) - tolerated)
        if fatal:
            return ", ".join(f"{name}: {error.failures[name]}" for name in fatal)
    except ImageFormatError:
        return "it is not complete"
    except Exception:  # an inspector that stumbles has not found the content safe
        return "it could not be checked"
    if isinstance(inspector, VMDKInspector):
        return _vmdk_danger(inspector, rules)
    if inspector.virtual_size > LARGEST:
        return "its header tells an impossible size"
    return None


def _vmdk_danger(inspector: VMDKInspector, rules: Rules) -> str | None:
    if not inspector.has_region("header"):
        return "a descriptor without data names files elsewhere"
    if inspector.vmdktype not in rules.vmdk_types:
        return f"subformat {inspector.vmdktype} is not allowed here"
    return (
        "its header tells an impossible size"
        if inspector.virtual_size > LARGEST
        else None
    )
