//! Tables from the bank in use: downloaded applications and CA keys replace those of `emv.toml`, parameters go before
//! the files, a blacklist is asked when a card has said who it is.
//!
//! Each value is checked again when it is taken into use; what cannot be used is told and left out. A transaction keeps
//! what it began with.
use super::{Engine, Settings};
use crate::domain::download::{Kind, Progress, Row, TableStep, apply, parameters, records, version};
use crate::domain::emv::params::{AidEntry, Capk};
use crate::domain::profile::Profile;
use crate::domain::unionpay::host_text;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the journal holds, and what the files say where it holds nothing.
pub(super) struct Tables {
    held: Vec<Progress>,
    aids: Vec<AidEntry>,
    capks: Arc<[Capk]>,
    response_timeout: Duration,
    connect_attempts: u32,
    merchant_name: String,
    profile: Arc<Profile>,
    /// Tokens of the cards that are not taken.
    pub(super) blacklist: Arc<BTreeSet<String>>,
}

impl Tables {
    pub(super) fn new(held: Vec<Progress>, settings: &Settings) -> Self {
        Self {
            held,
            aids: settings.emv.aids.clone(),
            capks: Arc::clone(&settings.emv.capks),
            response_timeout: settings.response_timeout,
            connect_attempts: settings.connect_attempts,
            merchant_name: settings.merchant_name.clone(),
            profile: Arc::clone(&settings.identity.profile),
            blacklist: Arc::default(),
        }
    }

    /// The files say something else now.
    pub(super) fn rest_on(
        &mut self,
        merchant_name: String,
        response_timeout: Duration,
        connect_attempts: u32,
    ) {
        self.merchant_name = merchant_name;
        self.response_timeout = response_timeout;
        self.connect_attempts = connect_attempts;
    }

    pub(super) fn of(&self, kind: Kind) -> Option<&Progress> {
        self.held.iter().find(|table| table.kind == kind)
    }

    pub(super) fn incomplete(&self) -> impl Iterator<Item = Kind> {
        self.held.iter().filter(|table| table.is_incomplete()).map(|table| table.kind)
    }

    /// `ParameterVersion`.
    pub(super) fn version(&self) -> String {
        version(&self.held)
    }

    fn rows(&self, kind: Kind) -> &[Row] {
        self.of(kind).map(|table| table.table.as_slice()).unwrap_or_default()
    }

    /// The rows of a kind that can be used; the file's where there are none.
    fn usable<T: Clone, E: core::fmt::Display>(
        &self,
        kind: Kind,
        file: &[T],
        read: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for row in self.rows(kind) {
            match read(&row.data) {
                Ok(one) => all.push(one),
                Err(error) => tracing::warn!(%kind, %error, "a downloaded row cannot be used"),
            }
        }
        if all.is_empty() { file.to_vec() } else { all }
    }
}

impl Engine {
    /// Steps that have become durable; a table that was swapped comes into use.
    pub(super) fn take_steps(&mut self, steps: &[TableStep]) {
        for step in steps {
            if !apply(&mut self.downloads.tables.held, step) {
                tracing::error!(?step, "a durable step of a download contradicts what was held");
            }
        }
        if steps.iter().any(|step| matches!(step, TableStep::Swapped { .. })) {
            self.use_tables();
        }
    }

    /// What the tables say goes before what the files say; where a table is empty the files hold.
    pub(super) fn use_tables(&mut self) {
        let tables = &self.downloads.tables;
        let partial_match = tables.profile.downloads.partial_match;
        self.settings.emv.aids =
            tables.usable(Kind::Aid, &tables.aids, |row| records::application(row, partial_match));
        self.settings.emv.capks = tables.usable(Kind::Capk, &tables.capks, records::capk).into();
        let rows = tables.rows(Kind::Parameters);
        let adopted = parameters::adopt(rows);
        let unused = parameters::unused(rows);
        if !unused.is_empty() {
            tracing::info!(items = unused.join(", "), "parameters of the host without a use here");
        }
        self.settings.response_timeout = adopted.response_timeout.unwrap_or(tables.response_timeout);
        self.settings.connect_attempts = adopted.connect_attempts.unwrap_or(tables.connect_attempts);
        self.settings.merchant_name = adopted
            .merchant_name
            .as_deref()
            .and_then(host_text)
            .unwrap_or_else(|| tables.merchant_name.clone());
        let mut profile = Arc::clone(&tables.profile);
        if let Some(attempts) = adopted.attempts {
            let changed = Arc::make_mut(&mut profile);
            changed.reversal_attempts = attempts;
            changed.upload_attempts = attempts;
        }
        self.settings.identity.profile = profile;
        let token = |row: &Row| String::from_utf8(row.key.clone()).ok();
        let blacklist = tables.rows(Kind::Blacklist).iter().filter_map(token).collect();
        self.downloads.tables.blacklist = Arc::new(blacklist);
    }
}
