"""What an operator sees of the process: metrics, logs, health, and word to the service manager."""
