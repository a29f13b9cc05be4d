//! ISO 8583 messages: codec by table.
