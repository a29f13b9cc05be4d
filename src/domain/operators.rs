//! Operators and their passwords: pure rules.
