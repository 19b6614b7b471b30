"""What lies in the pool. All of this runs in native threads."""

import contextlib
import datetime
from typing import Any

from imageservice import errors
from imageservice.stores.driver import Listed
from imageservice.stores.rbd import names, removal
from imageservice.stores.rbd.cluster import Cluster, Session

CLOCK = "clock"
"""Key of the images by which the cluster is asked for the time."""

LEFT_S = 3600
"""Age of such an image whose process must have died: they are there for a moment."""


def names_and_time(
    cluster: Cluster,
) -> tuple[datetime.datetime | None, list[str]]:
    """The names of all images, and the time by the cluster's own clock.

    None if the cluster takes no data now: it tells the time only in what it stores.
    """
    session = cluster.session()
    with cluster.translated():
        every = cluster.rbd.RBD().list(session.pool)
        try:
            now = _time(cluster, session)
        except (cluster.rbd.Error, cluster.rados.Error):
            return None, every
    for name in every:
        if names.is_part_of(name, CLOCK):
            _tidy(cluster, name, now)
    return now, every


def _tidy(cluster: Cluster, name: str, now: datetime.datetime) -> None:
    """Remove a clock that was left behind; another listing tries again if need be."""
    with contextlib.suppress(errors.Error):
        found = look(cluster, name, now)
        if found and found.age_s is not None and found.age_s > LEFT_S:
            removal.destroy(cluster, name, CLOCK)


def _time(cluster: Cluster, session: Session) -> datetime.datetime:
    name = names.temporary(CLOCK)
    rbd = cluster.rbd
    rbd.RBD().create(
        session.pool, name, 0, old_format=False, features=rbd.RBD_FEATURE_LAYERING
    )
    try:
        with contextlib.closing(_opened(cluster, session, name)) as image:
            return _changed(image)
    finally:
        removal.destroy(cluster, name, CLOCK)


def _opened(cluster: Cluster, session: Session, name: str) -> Any:
    return cluster.rbd.Image(session.pool, name, read_only=True)


def _changed(image: Any) -> datetime.datetime:
    """When it was last written to, within a minute (``rbd_mtime_update_interval``)."""
    changed: datetime.datetime = max(image.create_timestamp(), image.modify_timestamp())
    return changed


def look(cluster: Cluster, name: str, now: datetime.datetime | None) -> Listed | None:
    """An image of ours, finished or not; None for others, and for what has gone."""
    key = names.part_of(name)
    if key is None:
        try:
            names.plain(cluster.store, name)
        except errors.LocationInvalid:
            return None
    session = cluster.session()
    with cluster.translated(), contextlib.suppress(cluster.rbd.ImageNotFound):
        with contextlib.closing(_opened(cluster, session, name)) as image:
            size = image.size()
            age_s = (now - _changed(image)).total_seconds() if now else None
            if key is not None:
                return Listed(key, "", size, age_s)
            snapshots = {snapshot["name"] for snapshot in image.list_snaps()}
        if names.SNAPSHOT in snapshots:
            url = names.url(session.fsid, cluster.address.pool, name)
            return Listed(name, url, size, age_s)
    return None
