"""The vocabulary of the Kubernetes API, without I/O: kinds, schemas, quantities, selectors, patches, errors, frames."""
