"""The command line for users: kubectl's verbs, checked with the official schemas before anything is sent."""
