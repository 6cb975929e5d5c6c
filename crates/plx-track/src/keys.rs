//! The variables of the tracking client (`polyaxon/_env_vars/keys.py`, `polyaxon/_schemas/client.py`).
//!
//! The same names are keys of the files `.client` and `.auth`; there the short names of the second column work too.

/// `http://host[:port][/prefix]` of the API; default `http://localhost:8000`. `host` in a file.
pub const HOST: &str = "POLYAXON_HOST";
/// Version in the paths of the API; default `v1`. `version` in a file.
pub const API_VERSION: &str = "POLYAXON_API_VERSION";
/// The word before the token in `Authorization`; default `Token`. `authentication_type` in a file.
pub const AUTHENTICATION_TYPE: &str = "POLYAXON_AUTHENTICATION_TYPE";
/// The token. `token` in a file.
pub const AUTH_TOKEN: &str = "POLYAXON_AUTH_TOKEN";
/// Whose token it is. `username` in a file.
pub const AUTH_USERNAME: &str = "POLYAXON_AUTH_USERNAME";
/// The platform's own token, shown as `InternalToken` when the authentication type says so.
pub const SECRET_INTERNAL_TOKEN: &str = "POLYAXON_SECRET_INTERNAL_TOKEN";
/// Name of a header that every call carries, when its value is set as well. `header` in a file.
pub const HEADER: &str = "POLYAXON_HEADER";
/// Value of that header. `header_service` in a file.
pub const HEADER_SERVICE: &str = "POLYAXON_HEADER_SERVICE";
/// Seconds for one call; default 60. `timeout` in a file.
pub const TIMEOUT: &str = "POLYAXON_TIMEOUT";
/// How often a connection is tried again; default 3. An answer, whatever it says, is never asked for again.
pub const RETRIES: &str = "POLYAXON_RETRIES";
/// A boolean; `false` leaves certificates unchecked. Checked by default, which the reference does not do. `verify_ssl`
/// in a file.
pub const VERIFY_SSL: &str = "POLYAXON_VERIFY_SSL";
/// File with this client's own certificate (PEM). `cert_file` in a file.
pub const CERT_FILE: &str = "POLYAXON_CERT_FILE";
/// File with its key (PEM), when it is not in the certificate's. `key_file` in a file.
pub const KEY_FILE: &str = "POLYAXON_KEY_FILE";
/// A boolean; calls are left out. `no_op` in a file.
pub const NO_OP: &str = "POLYAXON_NO_OP";
/// A boolean; calls are left out. `is_offline` in a file.
pub const IS_OFFLINE: &str = "POLYAXON_IS_OFFLINE";
/// A boolean; no file is read, there is no token, and everything else has its default.
pub const NO_CONFIG: &str = "POLYAXON_NO_CONFIG";
/// The folder that holds `.polyaxon`, in place of `$HOME`.
pub const POLYAXON_HOME: &str = "POLYAXON_HOME";
