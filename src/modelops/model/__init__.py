"""The model format: preparation and network in one artifact without pickle."""
