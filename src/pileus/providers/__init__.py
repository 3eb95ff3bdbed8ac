"""One folder per backend, strangers to each other; each speaks the provider protocol of `pileus.model.provider`."""
