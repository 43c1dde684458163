//! How much of everything a message may hold. The spec sets only the page size; all else is bounded so that one caller cannot take the
//! memory, the log or the database of others. The size of a whole body is the binding's limit.

/// Ids end up in keys, subjects, paths and logs: tasks, contexts, messages, artifacts, configurations, tenants.
pub const ID_CHARS_MAX: usize = 256;
/// A message is a turn, not a directory.
pub const PARTS_MAX: usize = 256;
/// One text, one file, one piece of data. Larger files go by URL.
pub const CONTENT_BYTES_MAX: usize = 4 << 20;
/// Metadata is stored and sent again with every event of its task.
pub const METADATA_BYTES_MAX: usize = 256 << 10;
/// How deep JSON may nest. Peers stop at 100 or less (protobuf), and readers recurse.
pub const JSON_DEPTH_MAX: usize = 64;
/// Values of one request in JSON, lists and objects too. An object of seven bytes takes hundreds in memory: without this, a request
/// would take fifty times its size. Longer lists go as a file or by URL.
pub const VALUES_MAX: usize = 64 << 10;
/// Extensions of one message or one card.
pub const EXTENSIONS_MAX: usize = 64;
/// Tasks that one message may refer to; each may have to be looked up.
pub const REFERENCES_MAX: usize = 64;
/// Browsers, proxies and logs cut longer ones.
pub const URL_CHARS_MAX: usize = 2048;
/// Names of people's things: artifacts, skills, files, agents.
pub const NAME_CHARS_MAX: usize = 256;
/// Descriptions and examples are read by people and put into prompts.
pub const DESCRIPTION_CHARS_MAX: usize = 16 << 10;
/// Tokens and credentials travel in a header, for which servers take 8 KiB.
pub const CREDENTIALS_CHARS_MAX: usize = 4096;
/// Media types of one list. RFC 6838 gives each of them at most 255 characters.
pub const MODES_MAX: usize = 64;
/// Artifacts of one task: it is read and sent as a whole.
pub const ARTIFACTS_MAX: usize = 1024;
/// Parts of one artifact after all its pieces are put together.
pub const ARTIFACT_PARTS_MAX: usize = 16 << 10;
/// Messages of one task.
pub const HISTORY_MAX: usize = 4096;
/// Skills, interfaces, security schemes, signatures: lists of a card that clients read as a whole.
pub const CARD_ENTRIES_MAX: usize = 256;
/// Tasks on a page (§3.1.4).
pub const PAGE_SIZE_MAX: u32 = 100;
/// Tasks on a page if the client does not say (§3.1.4).
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Who breaks more rules than this will ask again anyway.
pub const VIOLATIONS_MAX: usize = 32;
