//! AWS profile files: `~/.aws/config` and `~/.aws/credentials`, or where `AWS_CONFIG_FILE` and
//! `AWS_SHARED_CREDENTIALS_FILE` say.
//!
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html>

use crate::StoreError;
use crate::setting::Setting;
use ini::{Ini, ParseOption};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The two files of a container. They are read anew each time: a mounted file is rotated.
#[derive(Clone)]
pub(super) struct Profiles {
    setting: Setting,
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

impl Profiles {
    pub fn of(setting: &Setting) -> Result<Self, StoreError> {
        let path = |key, below: &str| -> Result<Option<PathBuf>, StoreError> {
            Ok(match setting.text(key)? {
                Some(path) => Some(PathBuf::from(path)),
                None => setting.home(below),
            })
        };
        Ok(Self {
            setting: setting.clone(),
            config: path("AWS_CONFIG_FILE", ".aws/config")?,
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
        })
    }

    /// For people.
    pub fn places(&self) -> String {
        let paths: Vec<String> = [&self.config, &self.credentials]
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect();
        if paths.is_empty() { "a home folder (HOME is not set)".to_owned() } else { paths.join(" and ") }
    }

    pub fn get(&self, name: &str) -> Result<Option<Profile>, StoreError> {
        let text = |path: &Option<PathBuf>| -> Result<String, StoreError> {
            let Some(path) = path else { return Ok(String::new()) };
            match self.setting.files().read(path) {
                Ok(text) => Ok(text.unwrap_or_default()),
                Err(error) => Err(self
                    .setting
                    .malformed(
                        format!("profile file {}", path.display()),
                        format!("cannot be read: {error}"),
                        "check its mode and owner",
                    )
                    .into()),
            }
        };
        read(name, &text(&self.config)?, &text(&self.credentials)?).map_err(|at| {
            let what = format!("profile files {}", self.places());
            let next = "write them as [NAME] and key = value";
            self.setting.malformed(what, format!("are not understood: {at}"), next).into()
        })
    }
}

/// One profile: what both files say about it together, the credentials file first.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    keys: BTreeMap<String, String>,
}

impl Profile {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// It says who to be, not only where to go.
    pub fn has_credentials(&self) -> bool {
        ["aws_access_key_id", "role_arn", "credential_process", "sso_session", "sso_start_url"]
            .iter()
            .any(|key| self.get(key).is_some())
    }
}

/// Reads one profile out of the two files; none when neither knows it.
pub(super) fn read(name: &str, config: &str, credentials: &str) -> Result<Option<Profile>, String> {
    let mut profile = Profile::default();
    let mut known = false;
    for (text, headings) in [
        // `[default]` stands alone, the others are `[profile NAME]`.
        (config, vec![format!("profile {name}"), name.to_owned()]),
        (credentials, vec![name.to_owned()]),
    ] {
        // A secret key holds any character: nothing is quoted and nothing is escaped.
        let option = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let ini = Ini::load_from_str_opt(text, option).map_err(|error| format!("line {}", error.line))?;
        for (heading, section) in &ini {
            let heading = heading.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            if !headings.contains(&heading) || (heading == name && headings.len() > 1 && name != "default") {
                continue;
            }
            known = true;
            for (key, value) in section.iter() {
                // A remark behind the value begins with a blank.
                let value = value.split([' ', '\t']).next().unwrap_or_default();
                profile.keys.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }
    Ok(known.then_some(profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
region = eu-west-1
s3 =
  addressing_style = virtual
  max_concurrent_requests = 5

# a remark
[profile  work]
role_arn = arn:aws:iam::1:role/r
source_profile=default ; and another
[work]
region = not-read
";
    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = AK
aws_secret_access_key = s/e+c\\ret\"'
[other]
aws_access_key_id=OTHER
";

    #[track_caller]
    fn check(name: &str, want: &[(&str, Option<&str>)]) {
        let profile = read(name, CONFIG, CREDENTIALS).expect("readable").expect("known");
        for (key, value) in want {
            assert_eq!(profile.get(key), *value, "{name} {key}");
        }
    }

    #[test]
    fn both_files_make_one_profile() {
        check(
            "default",
            &[
                ("aws_access_key_id", Some("AK")),
                ("aws_secret_access_key", Some("s/e+c\\ret\"'")),
                ("region", Some("eu-west-1")),
                ("addressing_style", Some("virtual")),
                ("s3", None),
            ],
        );
        check(
            "work",
            &[
                ("role_arn", Some("arn:aws:iam::1:role/r")),
                ("source_profile", Some("default")),
                ("region", None),
            ],
        );
        check("other", &[("aws_access_key_id", Some("OTHER"))]);
    }

    #[test]
    fn what_neither_knows_is_none_and_what_is_no_profile_file_is_an_error() {
        assert!(read("nobody", CONFIG, CREDENTIALS).expect("readable").is_none());
        assert!(read("default", "", "").expect("readable").is_none());
        assert!(read("default", "[default\nx", "").is_err());
    }
}
