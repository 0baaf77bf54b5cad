"""The versioned protocol: generated code, kept current by `make proto-check`."""
