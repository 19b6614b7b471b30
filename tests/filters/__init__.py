"""Optional filters, in the pipeline that is shipped, under both kinds of server."""
