"""What a project uses of its unified limits (contract images.md §15, §9.1)."""

from collections.abc import Mapping
from typing import Protocol

from imageservice import errors
from imageservice.context import Context
from imageservice.db.usage import Used
from imageservice.domain.allowance import NAMES, Allowance
from imageservice.services.interfaces import Use


class Rows(Protocol):
    def of(self, project_id: str) -> Used: ...


class Limits(Protocol):
    def of(self, project_id: str | None) -> Allowance: ...


class Usage:
    """``limits`` are unified ones; None if they are off: then there is nothing to tell."""

    def __init__(self, rows: Rows, limits: Limits | None) -> None:
        self._rows = rows
        self._limits = limits

    def show(self, ctx: Context, target: None) -> Mapping[str, Use]:
        if self._limits is None or ctx.project_id is None:
            return {}
        allowance = self._limits.of(ctx.project_id)
        used = self._rows.of(ctx.project_id)
        amounts = {
            "bytes": used.bytes + used.reserved,
            "staged": 0,  # nothing is staged here
            "images": used.images,
            "uploading": used.uploading,
        }
        shown = {}
        for name, (field, unit) in NAMES.items():
            limit: int | None = getattr(allowance, field)
            shown[name] = Use(
                amounts[field] // unit, -1 if limit is None else limit // unit
            )
        return shown

    def room(self, ctx: Context, target: None, size: int | None) -> None:
        if self._limits is None or ctx.project_id is None:
            return
        allowance = self._limits.of(ctx.project_id)
        maximum = allowance.bytes
        if maximum is None:
            return
        used = self._rows.of(ctx.project_id)
        taken, attempted = used.bytes + used.reserved, size or 0
        if taken + attempted > maximum:
            raise errors.ProjectLimit(
                limit=allowance.named,
                project_id=ctx.project_id,
                attempted=attempted,
                used=taken,
                maximum=maximum,
                unit="bytes",
            )
