"""Rules of images without I/O: values, changes, queries, the status machine."""
