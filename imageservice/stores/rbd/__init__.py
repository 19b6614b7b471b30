"""Images as RBD images in a pool of a Ceph cluster."""
