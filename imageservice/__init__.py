"""imageservice: an image registry that speaks the Image API v2."""

__version__ = "0.1.0"
