"""The log tells which request a line belongs to, also when many are under way."""

from tests.conftest import StartDaemon
from tests.hammer import calls
from tests.hammer.calls import Upload


def test_lines_of_overlapping_requests_name_their_own_request(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon()
    images = [calls.create(daemon.url) for _ in range(3)]
    uploads = [
        Upload(daemon.url, image, 6, {"X-OpenStack-Request-ID": f"req-{number}"})
        for number, image in enumerate(images)
    ]
    for image, upload in zip(images, uploads, strict=True):
        upload.send(b"abc")
        saving = calls.status_is(daemon.url, image, "saving")
        calls.until(saving, 10, "it is not saving")

    for upload in uploads:
        upload.send(b"def")
        assert upload.status() == 204

    log = daemon.log.read_text().splitlines()
    for number, image in enumerate(images):
        (line,) = [row for row in log if f"{calls.name(image)}: 6 bytes" in row]
        assert f"req-{number} " in line
