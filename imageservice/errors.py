"""Every error a caller may see: one class and one message template each.

This module knows no HTTP; ``api/faults.py`` maps classes to statuses. An error is
raised with the values its template names: ``raise ImageNotFound(image_id=...)``.
If one class would need two statuses, it is two classes.
"""


class Error(Exception):
    """Base of all errors with a meaning for the caller."""

    template = "The request failed."

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.template.format(**values))


# --- the families that api/faults.py knows -----------------------------------


class BadRequest(Error):
    """What was sent is malformed or against the schema."""

    template = "{reason}"


class Unauthorized(Error):
    template = "This server could not verify who you are: send a valid token."


class Forbidden(Error):
    """The caller may see the target but not do this with it."""

    template = "{reason}"


class PolicyForbids(Forbidden):
    template = "You are not authorized to complete {rule} action."


class ReadOnlyAccess(Forbidden):
    """An anonymous caller may look, not touch."""

    template = "Read-only access: send a valid token to change anything."


class NotFound(Error):
    """There is no such thing, or the caller may not know of it."""

    template = "The resource could not be found."


class Conflict(Error):
    """The target's state does not allow this now."""

    template = "{reason}"


class Gone(Error):
    template = "{reason}"


class QuotaExceeded(Error):
    """A limit on size or number would be passed."""

    template = "{reason}"


class UnsupportedMedia(Error):
    """The media type, or the content itself, is not what was announced."""

    template = "{reason}"


class RangeNotSatisfiable(Error):
    """``size`` is the image's size in bytes (RFC 9110, section 15.5.17)."""

    template = "The requested range lies outside the image's {size} bytes."


class Unavailable(Error):
    """A thing we depend on does not answer; the same request may work later."""

    template = "{reason}"


class TooManyRequests(Error):
    """``seconds`` is when the next one will be taken."""

    template = "Too many requests. Send the next one in {seconds} s."


class KeystoneUnavailable(Unavailable):
    """Nobody can tell now whether a token is good."""

    template = "Your token cannot be checked at the moment. Try again in a while."


class Misconfigured(Error):
    """The operator's files say something impossible; ends the start with one line."""

    template = "{reason}"


class LibraryMissing(Misconfigured):
    """A store's driver cannot be loaded on this machine, however it is configured."""


# --- images ------------------------------------------------------------------


class ImageNotFound(NotFound):
    template = "No image found with ID {image_id}"


class ImageIdTaken(Conflict):
    template = (
        "Image ID {image_id} already exists, or did: an id is used once. Choose another "
        "one, or give none."
    )


class ImageGone(Gone):
    template = "Image {image_id} was deleted while its data was being uploaded."


class ImageProtected(Forbidden):
    template = (
        "Image {image_id} is protected and cannot be deleted. Set protected to false "
        "first."
    )


class ImageDeactivated(Forbidden):
    template = "The requested image {image_id} has been deactivated. Image data download is forbidden."


class ImageBusy(Conflict):
    """The status does not allow the transition; see ``domain/image.py``."""

    template = (
        "Image status transition from {status} to {wanted} is not allowed: only a queued "
        "image takes data, and once. Create another image for other data."
    )


class ImageUnfinished(Conflict):
    template = "Image {image_id} is {status}, not active."


class ImageLeased(Conflict):
    """Somebody writes, copies or removes its bytes at this moment."""

    template = "The data of image {image_id} is being changed by another request. Try again later."


class ImageStatusForbids(Forbidden):
    """A transition refused with 403: deactivate and reactivate."""

    template = "Not allowed: image status is {status}, not active or deactivated"


class ImageChanged(Conflict):
    """The row is no longer the one that was read; ``api/app.py`` loads it and tries again."""

    template = "Image {image_id} was changed by somebody else meanwhile. Try again."


class FormatsMissing(BadRequest):
    template = "Image {image_id} needs disk_format and container_format before its data can be uploaded."


class AttributeReadOnly(Forbidden):
    template = "Attribute '{name}' is read-only."


class AttributeReserved(Forbidden):
    template = "Attribute '{name}' is reserved for the service. Choose another name."


class AttributeNotRemovable(Forbidden):
    template = "Property {name} may not be removed."


class AttributeFrozen(Forbidden):
    template = "Attribute {name} can be replaced only for a queued image."


class OwnerForbidden(Forbidden):
    template = "You are not permitted to create images owned by '{owner}'"


class OwnerChangeForbidden(Forbidden):
    template = "Owner can be updated only by admin."


class PropertyReserved(Forbidden):
    """Protected by the operator; said whether or not there is one already."""

    template = "Property '{name}' is reserved: your roles do not allow this."


class PropertyMissing(Conflict):
    template = "Property {name} does not exist."


class PropertyExists(Conflict):
    template = "Property {name} already present. Use replace to change it."


class MarkerUnknown(BadRequest):
    template = "Invalid marker: no image {marker} is known to you."


class TagNotFound(NotFound):
    template = "Image {image_id} has no tag {tag}"


# --- locations ---------------------------------------------------------------


class LocationRefused(BadRequest):
    """Of a scheme that nobody may register, or of a store that there is not."""

    template = "No location of this kind can be registered here."


class LocationForServices(Forbidden):
    """What lies in stores of ours belongs to somebody already (docs/adr/0026)."""

    template = (
        "Locations other than http and https, and these without a store for them, can be "
        "registered by services only."
    )


class LocationUnreadable(BadRequest):
    template = "There is no data to be read at this location."


class LocationSize(BadRequest):
    template = "There are {found} bytes at this location, but the image has {size}."


class LocationTaken(BadRequest):
    template = "Image {image_id} has this location already."


class LocationMissing(BadRequest):
    template = "There is no location {place}: the image has {count}."


class LocationsDiffer(BadRequest):
    template = (
        "The URLs of image {image_id} cannot be replaced, only what is noted at them: "
        "name the same ones, or add and remove single locations."
    )


class LocationsMixed(BadRequest):
    """A store may refuse to let go of bytes: nothing else is to be done by then."""

    template = (
        "Locations are removed in a request of their own: make other changes before."
    )


class LocationsFrozen(Conflict):
    template = "Locations cannot be changed while the image is {status}."


class LocationsUnread(Conflict):
    template = (
        "The digests of image {image_id} are not known yet: until they are, its first "
        "location stays the first. Add others at the end, or try again later."
    )


class LastLocation(Forbidden):
    template = "This would leave image {image_id} without data: delete it instead."


class DigestsConflict(Conflict):
    template = "What validation_data says is not what is known of image {image_id}."


class DigestsInvalid(Conflict):
    """The same in a request that sets nothing but a location is BadRequest."""

    template = "validation_data: {reason}"


# --- members -----------------------------------------------------------------


class NotShared(Forbidden):
    template = "Only shared images have members: image {image_id} is {visibility}."


class MemberNotFound(NotFound):
    template = "Image {image_id} has no member {member_id}"


class MemberExists(Conflict):
    template = "Project {member_id} already is a member of image {image_id}."


# --- limits ------------------------------------------------------------------


class PropertyLimit(QuotaExceeded):
    template = "The limit on custom properties has been exceeded: attempted {attempted}, maximum {maximum}."


class TagLimit(QuotaExceeded):
    template = "The limit on image tags has been exceeded: attempted {attempted}, maximum {maximum}."


class LocationLimit(QuotaExceeded):
    template = "The limit on image locations has been exceeded: attempted {attempted}, maximum {maximum}."


class MemberLimit(QuotaExceeded):
    template = "The limit on image members has been exceeded: attempted {attempted}, maximum {maximum}."


class ImageSizeLimit(QuotaExceeded):
    template = "Image {image_id} exceeds the largest size allowed, {maximum} bytes."


class ProjectLimit(QuotaExceeded):
    """``limit`` is the limit's registered name, or the option's; sizes are in bytes."""

    template = (
        "The limit {limit} of project {project_id} would be exceeded: {attempted} {unit} "
        "attempted, {used} used, {maximum} allowed."
    )


class LimitsUnknown(Unavailable):
    """Without knowing a limit nothing is let in; the log says why it is not known."""

    template = (
        "The limits of your project cannot be found out at the moment, so nothing was "
        "created or stored. Try again later."
    )


# --- bytes -------------------------------------------------------------------


class SizeMismatch(BadRequest):
    """More or fewer bytes came than were announced."""

    template = "{received} bytes were received, but {announced} were announced."


class BodyBroken(BadRequest):
    """The client went away or sent bytes that are not HTTP in the middle of a body."""

    template = "The request's body ended early: {reason}"


class FormatMismatch(UnsupportedMedia):
    template = "The content looks like {found}, but disk_format says {declared}."


class ContentUnsafe(UnsupportedMedia):
    template = "The content failed safety checks: {reason}"


class SignatureRefused(BadRequest):
    """The bytes are not what was signed, or nobody can tell (images.md §18.3)."""

    template = "Signature verification failed: {reason}"


class SignatureIncomplete(BadRequest):
    template = (
        "Image {image_id} has a part of a signature, but not {missing}. Set what is "
        "missing, or remove the other properties that begin with img_signature."
    )


class SignatureUnread(BadRequest):
    template = (
        "Image {image_id} is signed, and signatures are verified in uploads only: upload "
        "its data, or remove the properties that begin with img_signature."
    )


class CertificateUnavailable(Unavailable):
    """The key manager does not answer; the log says how."""

    template = (
        "The certificate {certificate_id} cannot be fetched at the moment, so the "
        "signature could not be verified. Try again later."
    )


class ContentChanged(Conflict):
    """A store gave other bytes than were uploaded."""

    template = "The data of image {image_id} is not what was uploaded."


class NoData(NotFound):
    """The image has no bytes: answered 204, not 404 (images.md §9.2)."""

    template = "Image {image_id} has no data."


# --- addresses that users choose ---------------------------------------------

# One text for all that can go wrong, and the reason only in ``values``, for the log: else
# users could find out by it which hosts and ports there are in our network.


class OutboundRefused(BadRequest):
    """The outbound filter does not let a connection be made there."""

    template = "Nothing can be fetched from this address."


class OutboundFailed(Unavailable):
    """The connection was allowed and came to nothing, or ended before the data did."""

    template = OutboundRefused.template


# --- stores: what drivers raise ----------------------------------------------


class StoreUnknown(BadRequest):
    template = "There is no store named '{store}'. Stores: {known}"


class StoreNotEnabled(Conflict):
    """As ``StoreUnknown``, where the contract wants another status (images.md §11.2)."""

    template = StoreUnknown.template


class StoreReadOnly(Gone):
    template = "Store '{store}' does not take data."


class KeyExists(Conflict):
    """Finished data already lies under this key."""

    template = "Store '{store}' already holds data for {key}."


class KeyNotFound(NotFound):
    template = "Store '{store}' has no data for {key}."


class KeyInUse(Conflict):
    template = "The data of {key} is in use in store '{store}': {reason}"


class StoreFull(QuotaExceeded):
    template = "There is not enough room in store '{store}': {reason}"


class StoreDenied(Unavailable):
    """The back end refuses us: permissions, credentials, read-only file system."""

    template = "Store '{store}' refused the operation: {reason}"


class StoreUnavailable(Unavailable):
    template = "Store '{store}' is not available: {reason}"


class NoAnswer(StoreUnavailable):
    """The back end hangs; what it was asked for may still be done, at any later time."""


class NotBegun(NoAnswer):
    """The back end hangs, but what it was asked for is not begun, nor will it be."""


class RemainsLeft(StoreUnavailable):
    """What was to be removed is still there, or nobody knows: ``Driver.discard`` has to."""

    template = "Store '{store}' failed in the middle of the operation: {reason}"


class LocationInvalid(BadRequest):
    """A location that is not of this store, or points outside it."""

    template = "Not a location of store '{store}'."


class CopyExists(Conflict):
    template = "Image {image_id} already has a copy in store '{store}'."


class CopyNotFound(NotFound):
    template = "Image {image_id} has no copy in store '{store}'."


class LastCopy(Forbidden):
    template = (
        "This is the only copy of image {image_id}: delete the image, or copy it first."
    )


class Unsupported(BadRequest):
    """The driver did not declare the capability that this call needs."""

    template = "Store '{store}' cannot {what}."


class LeaseLost(Conflict):
    """Another process took this work over; the loser touches nothing any more."""

    template = "The upload of image {image_id} was interrupted for too long and has been undone. Upload it again."
