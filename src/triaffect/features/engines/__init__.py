"""Where the jobs of an extraction are computed: processes of this machine, or a Ray cluster."""
