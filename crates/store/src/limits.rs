//! The limits of what goes into one transaction.

use std::borrow::Cow;

use crate::StoreError;

/// Ids are index entries, of which Postgres takes 2704 bytes; three of them may stand in one.
const ID_BYTES_MAX: usize = 800;
/// One document. Far above what agents keep (a notification is at most 4 MiB), far below what would stall the database.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows of one claim or page.
pub(crate) const ROWS_MAX: u32 = 1000;

/// Checks what becomes part of a key.
pub(crate) fn check_id(what: &'static str, id: &str) -> Result<(), StoreError> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(StoreError::Unstorable { what, reason: format!("{} bytes long; 1 to {ID_BYTES_MAX} are allowed", id.len()) });
    }
    if id.contains('\0') {
        return Err(StoreError::Unstorable { what, reason: "it has a NUL character".to_owned() });
    }
    Ok(())
}

/// Checks the size of a document.
pub(crate) fn check_size(what: &'static str, bytes: usize) -> Result<(), StoreError> {
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(StoreError::Unstorable {
            what,
            reason: format!("{bytes} bytes long; at most {DOCUMENT_BYTES_MAX} are allowed"),
        });
    }
    Ok(())
}

/// Text from outside as Postgres can keep it: it has no NUL characters.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
