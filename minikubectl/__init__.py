"""The command line for users: kubectl's everyday verbs, flags, messages and exit codes, and manifests checked first."""
