"""One module per family of formats; `simulators.profiles.registry` has the list of all."""
