//! The printer thread and its ESC/POS encoder.
