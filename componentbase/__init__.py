"""What every service shares: flags, logging, metrics, health, TLS and certificates, graceful stop."""
