//! Logs to journald or stderr.
