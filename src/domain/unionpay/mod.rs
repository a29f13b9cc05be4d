//! The UnionPay dialect of ISO 8583.
