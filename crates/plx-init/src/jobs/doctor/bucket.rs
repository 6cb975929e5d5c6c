//! A bucket: what it was opened with, and whether each kind of request works.

use super::check::{Check, Diagnosis};
use super::{Manner, scratch};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use plx_contract::connection::{Connection, Kind};
use plx_contract::{Class, Classified};
use plx_store::Bucket;
use plx_transfer::{Cause, TransferError};
use std::time::Duration;

/// Clocks that differ by less are as good as equal.
const NEAR: i64 = 60;
/// The smallest part that S3 takes when another one follows.
const PART: usize = 5 << 20;
const WORDS: &[u8] = b"written by plx-init doctor, to be deleted at once\n";

/// What a request met that is not about the request itself.
type Met = Option<(&'static str, Check)>;

struct Probe<'a> {
    bucket: &'a Bucket,
    manner: &'a Manner,
    kind: &'a Kind,
    met: Met,
    rows: Vec<Check>,
    /// What was put is being taken away again.
    cleaning: bool,
}

/// Adds what is seen of a bucket.
pub(super) async fn look(
    diagnosis: &mut Diagnosis,
    connection: &Connection,
    bucket: &Bucket,
    manner: &Manner,
) {
    let mut probe =
        Probe { bucket, manner, kind: &connection.kind, met: None, rows: Vec::new(), cleaning: false };
    probe.requests().await;
    let Probe { met, rows, .. } = probe;
    let at_fault = met.as_ref().map(|(row, _)| *row);
    for check in facts(bucket) {
        match &met {
            // These say themselves what they are about.
            Some((row @ ("credentials" | "clock"), failure)) if *row == check.name => {
                let chosen = failure.detail.contains(&bucket.about.credential) || *row == "clock";
                let detail = match chosen {
                    true => failure.detail.clone(),
                    false => format!("{}: {}", bucket.about.credential, failure.detail),
                };
                diagnosis.add(Check { detail, ..failure.clone() });
            }
            Some((row, failure)) if *row == check.name => {
                // What was seen of it stays readable beside what is wrong with it.
                let detail = format!("{}: {}", check.detail, failure.detail);
                diagnosis.add(Check { detail, ..failure.clone() });
            }
            _ => diagnosis.add(check),
        }
    }
    if at_fault == Some("bucket")
        && let Some((_, failure)) = met
    {
        diagnosis.add(failure);
    }
    diagnosis.checks.extend(rows);
}

/// What is known without asking, and what the answers said by the way.
fn facts(bucket: &Bucket) -> Vec<Check> {
    let about = &bucket.about;
    let mut facts = Vec::new();
    let mut credentials = about.credential.clone();
    if !about.passed_over.is_empty() {
        credentials.push_str(&format!(" (there is {})", about.passed_over.join("; ")));
    }
    facts.push(Check::ok("credentials", credentials));

    let mut endpoint = about.endpoint.clone();
    if let Some(from) = &about.endpoint_from {
        endpoint.push_str(&format!(", from {from}"));
    }
    if let Some(addressing) = about.addressing {
        endpoint.push_str(&format!(", bucket by {addressing}"));
    }
    facts.push(Check::ok("endpoint", endpoint));
    facts.push(Check::ok(
        "proxy",
        about.proxy.as_ref().map_or_else(|| "none".to_owned(), |proxy| format!("through {proxy}")),
    ));
    facts.push(trust(bucket));
    if let Some((region, from)) = &about.region {
        facts.push(match about.other_region() {
            None => Check::ok("region", format!("{region}, from {from}")),
            Some(other) => Check::warning(
                "region",
                format!("wrong region: {region}, from {from}; the bucket is in {other}, and requests were sent there"),
                format!("set AWS_REGION={other}"),
            ),
        });
    }
    facts.push(match bucket.requests.skew_seconds() {
        None => Check::skipped("clock", "not known: no answer with a date"),
        Some(skew) if skew.abs() < NEAR => Check::ok("clock", format!("within {NEAR} s of the store's")),
        Some(skew) => {
            let word = if skew > 0 { "behind" } else { "ahead of" };
            Check::warning(
                "clock",
                format!(
                    "{} s {word} the store's; from 300 s on tokens are refused, from 900 s on signatures",
                    skew.abs()
                ),
                "set the clock of this machine, by NTP",
            )
        }
    });
    facts
}

fn trust(bucket: &Bucket) -> Check {
    let about = &bucket.about;
    if about.endpoint.starts_with("http://") {
        return Check::ok("trust", "plain http: no certificates");
    }
    if !about.verify {
        return Check::warning(
            "trust",
            "certificates are not checked: AWS_VERIFY_SSL is false",
            "name the server's CA in POLYAXON_SSL_CA_CERT instead",
        );
    }
    let own: Vec<String> = about.ca.iter().map(|path| path.display().to_string()).collect();
    Check::ok(
        "trust",
        if own.is_empty() {
            "the system's CAs".to_owned()
        } else {
            format!("the system's CAs and {}", own.join(", "))
        },
    )
}

impl Probe<'_> {
    /// Whether there is anything to ask with. Asked apart, so that a source that hangs is not taken for a store that does.
    async fn credentials(&mut self) {
        let (from, limit) = (&self.bucket.about.credential, self.manner.timeout);
        let (class, why) = match tokio::time::timeout(limit, self.bucket.credentials.check()).await {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => (fault.class, fault.to_string()),
            Err(_) => (
                Class::Unavailable,
                format!("no credentials from {from}: no answer in {} s", limit.as_secs()),
            ),
        };
        let next = match class {
            Class::Denied => {
                "check what the source of the credentials allows: the role's trust, the token, the secret"
            }
            Class::Unavailable => "check the service that hands out the credentials, and the way to it",
            _ if why.contains("certificate") => {
                "name the CA of the service that hands out the credentials in POLYAXON_SSL_CA_CERT"
            }
            _ if why.contains("proxy") => "check the proxy and its login, or add the service to NO_PROXY",
            _ => "give the connection keys in its secret, or the pod an identity that the source knows",
        };
        let name = "no-credentials";
        self.met = Some((
            "credentials",
            Check::failed("credentials", class, Some(name), why, Some(next.to_owned())),
        ));
    }

    async fn requests(&mut self) {
        self.credentials().await;
        let prefix = self.bucket.prefix.clone();
        let folder = (!prefix.is_root()).then(|| key(prefix.as_str()));
        let store = &self.bucket.store;
        let listed = self
            .ask("list", prefix.as_str(), || async {
                store.list(folder.as_ref()).next().await.transpose().map(|first| first.is_some())
            })
            .await;
        if let Some(some) = listed {
            self.rows
                .push(Check::ok("list", if some { "there are objects" } else { "there are no objects yet" }));
        }
        if self.manner.read_only {
            self.skip(&["put", "get", "multipart", "delete"], "only looking (--read-only)");
            return;
        }
        let scratch = match prefix.as_str() {
            "" => scratch(),
            prefix => format!("{prefix}/{}", scratch()),
        };
        let (small, large) = (key(&format!("{scratch}/small")), key(&format!("{scratch}/large")));
        let asks = self.met.is_none();
        let put = self.ask("put", small.as_ref(), || store.put(&small, PutPayload::from_static(WORDS))).await;
        if put.is_none() {
            self.skip(&["get", "multipart", "delete"], "nothing can be put");
            if asks {
                self.sweep(&small).await;
            }
            return;
        }
        self.rows.push(Check::ok("put", format!("{} bytes below {scratch}/", WORDS.len())));
        self.get(&small).await;
        let mut left: Vec<&Key> = vec![&small];
        let asks = self.met.is_none();
        if self.multipart(&large).await {
            left.push(&large);
        } else if asks {
            self.sweep(&large).await;
        }
        self.delete(&left).await;
    }

    /// Takes away what a request may have left that was not seen to succeed: its answer may have been lost.
    async fn sweep(&mut self, key: &Key) {
        let swept = tokio::time::timeout(self.manner.timeout, self.bucket.store.delete(key)).await;
        let gone = match swept {
            Ok(Ok(())) => true,
            // Without the right to delete there was none to put either, as far as can be told.
            Ok(Err(error)) => matches!(Cause::of(&error), Cause::Absent | Cause::Denied | Cause::NoBucket),
            Err(_) => false,
        };
        if !gone
            && self.met.is_none()
            && let Some(row) = self.rows.last_mut()
        {
            row.detail.push_str(&format!("; {key} may stay in the store"));
        }
    }

    async fn get(&mut self, small: &Key) {
        let store = &self.bucket.store;
        let Some(got) =
            self.ask("get", small.as_ref(), || async { store.get(small).await?.bytes().await }).await
        else {
            return;
        };
        self.rows.push(if got.as_ref() == WORDS {
            Check::ok("get", "the same bytes came back")
        } else {
            let said = format!("{} bytes came back and they are not those that were put", got.len());
            let next = "look for a proxy or gateway that changes what passes through it".to_owned();
            Check::failed("get", Class::Integrity, None, said, Some(next))
        });
    }

    /// True when there is an object to delete.
    async fn multipart(&mut self, large: &Key) -> bool {
        let parts = &self.bucket.parts;
        let Some(id) = self.ask("multipart", large.as_ref(), || parts.create_multipart(large)).await else {
            return false;
        };
        let body = Bytes::from(vec![b'x'; PART]);
        let done = self
            .ask("multipart", large.as_ref(), || async {
                let first = parts.put_part(large, &id, 0, body.clone().into()).await?;
                let second = parts.put_part(large, &id, 1, PutPayload::from_static(WORDS)).await?;
                parts.complete_multipart(large, &id, vec![first, second]).await
            })
            .await;
        if done.is_some() {
            self.rows.push(Check::ok("multipart", "two parts became one object"));
            return true;
        }
        // The row says already that it failed; parts that stay cost money, so that is said too.
        if let Err(error) = parts.abort_multipart(large, &id).await
            && Cause::of(&error) != Cause::Absent
            && let Some(row) = self.rows.last_mut()
        {
            row.detail.push_str("; the upload could not be aborted either, its parts stay in the store");
        }
        false
    }

    async fn delete(&mut self, left: &[&Key]) {
        let store = &self.bucket.store;
        // Whoever stops the doctor does not want the scratch to stay either.
        self.cleaning = true;
        let mut stays = Vec::new();
        let mut first = None;
        for key in left {
            if self.ask("delete", key.as_ref(), || store.delete(key)).await.is_none() {
                stays.push(key.to_string());
                first = first.or(self.rows.pop());
            }
        }
        self.rows.push(match first {
            None => Check::ok("delete", "nothing is left behind"),
            Some(mut row) => {
                let verb = if stays.len() > 1 { "stay" } else { "stays" };
                row.detail.push_str(&format!("; {} {verb} in the store", stays.join(" and ")));
                row
            }
        });
    }

    /// Makes a request unless something stands in the way of all of them; what breaks off by itself gets two more
    /// chances. None when it failed: the failure has its row then.
    async fn ask<T, F, Fut>(&mut self, name: &'static str, at: &str, mut request: F) -> Option<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = object_store::Result<T>>,
    {
        if let Some((row, _)) = &self.met {
            self.rows.push(Check::skipped(name, format!("not tried: see {row}")));
            return None;
        }
        if self.manner.stop.asked.is_cancelled() && !self.cleaning {
            self.rows.push(Check::skipped(name, "not tried: stopped"));
            return None;
        }
        let place =
            if at.is_empty() { self.bucket.place.clone() } else { format!("{}/{at}", self.bucket.place) };
        let limit = self.manner.timeout;
        let bounded = || {
            let request = request();
            async {
                match tokio::time::timeout(limit, request).await {
                    Ok(Ok(value)) => Ok(value),
                    Ok(Err(error)) => Err(TransferError::store(name, &place, &error)),
                    Err(_) => Err(TransferError::Store {
                        doing: name,
                        at: place.clone(),
                        cause: Cause::Unreachable,
                        why: format!("no answer in {} s", limit.as_secs()),
                    }),
                }
            }
        };
        let again =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_max_times(2);
        let passing =
            |error: &TransferError| matches!(error.cause(), Some(Cause::Passing | Cause::Throttled(_)));
        match bounded.retry(again).when(passing).await {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed(name, &error);
                None
            }
        }
    }

    fn failed(&mut self, name: &'static str, error: &TransferError) {
        let cause = error.cause();
        // Whose fault it is, when it is not that of the one request.
        let row = match cause {
            Some(Cause::BadSignature | Cause::Expired | Cause::NoIdentity(_) | Cause::IdentityNotReady) => {
                "credentials"
            }
            // Whoever asks through a proxy connects to nobody else.
            Some(Cause::Unreachable) if self.bucket.about.proxy.is_some() => "proxy",
            Some(Cause::Unreachable | Cause::NotAStore | Cause::Throttled(_) | Cause::Passing) => "endpoint",
            // A store that knows no such thing does not say so of a listing.
            Some(Cause::Absent) if name == "list" => "endpoint",
            Some(Cause::Proxy) => "proxy",
            Some(Cause::Certificate) => "trust",
            Some(Cause::WrongRegion) => "region",
            Some(Cause::ClockSkew) => "clock",
            Some(Cause::NoBucket) => "bucket",
            _ => name,
        };
        let why = match error {
            TransferError::Store { why, .. } => why.clone(),
            other => other.to_string(),
        };
        let (mut class, mut called) = (error.class(), cause.map(Cause::name));
        if row == "proxy" && cause == Some(Cause::Unreachable) {
            (class, called) = (Class::Config, Some(Cause::Proxy.name()));
        }
        if row == "endpoint" && cause == Some(Cause::Absent) {
            (class, called) = (Class::Config, Some(Cause::NotAStore.name()));
        }
        let words = called.map(|called| format!("{}: ", called.replace('-', " "))).unwrap_or_default();
        let next = self.next(name, row, error);
        let check = Check::failed(row, class, called, format!("{words}{why}"), next);
        if row == name {
            self.rows.push(check);
        } else {
            self.met = Some((row, check));
            self.rows.push(Check::skipped(name, format!("not tried: see {row}")));
        }
    }

    /// What to do, in the words of this cloud.
    fn next(&self, name: &str, row: &str, error: &TransferError) -> Option<String> {
        let words = match (error.cause()?, self.kind) {
            (Cause::Denied, _) => return Some(self.grant(name)),
            (Cause::Throttled(_), _) => "the store asks to slow down: try again later",
            (Cause::Unreachable, _) if row == "proxy" => {
                "check that the proxy in HTTPS_PROXY or HTTP_PROXY is there, or add the host to NO_PROXY"
            }
            (Cause::Absent, _) if row == "endpoint" => {
                "correct the endpoint: what answers there is no object store"
            }
            (Cause::BadSignature, Kind::Gcs) => {
                "the token is not accepted: check that the account of the key exists and the key is not revoked"
            }
            (Cause::BadSignature, Kind::Wasb) => {
                "correct the account key, the shared access signature or the identity: the account does not accept it"
            }
            (Cause::NoBucket, Kind::Wasb) => "create the container, or correct the connection's schema",
            _ => return error.next_step(),
        };
        Some(words.to_owned())
    }

    /// The right that is missing, by its name in this cloud.
    fn grant(&self, name: &str) -> String {
        let right = match (self.kind, name) {
            (Kind::S3, "list") => "s3:ListBucket on the bucket",
            (Kind::S3, "get") => "s3:GetObject on the prefix",
            (Kind::S3, "delete") => "s3:DeleteObject on the prefix",
            (Kind::S3, _) => "s3:PutObject on the prefix",
            (Kind::Gcs, "list") => "storage.objects.list (role Storage Object User)",
            (Kind::Gcs, "get") => "storage.objects.get (role Storage Object Viewer)",
            (Kind::Gcs, "delete") => "storage.objects.delete (role Storage Object User)",
            (Kind::Gcs, _) => "storage.objects.create (role Storage Object User)",
            (_, "list" | "get") => {
                "the role Storage Blob Data Reader, or `rl` in the shared access signature"
            }
            _ => "the role Storage Blob Data Contributor, or `rwdl` in the shared access signature",
        };
        let input = if matches!(name, "put" | "multipart" | "delete") {
            "; --read-only if this connection is an input only"
        } else {
            ""
        };
        format!("grant the connection's identity {right}{input}")
    }

    fn skip(&mut self, names: &[&'static str], why: &str) {
        let why = match &self.met {
            Some((row, _)) => format!("not tried: see {row}"),
            None => why.to_owned(),
        };
        self.rows.extend(names.iter().map(|name| Check::skipped(name, why.clone())));
    }
}

fn key(path: &str) -> Key {
    // Literal: a prefix is safe by its type, and the rest is our own.
    Key::parse(path).unwrap_or_else(|_| Key::from(path))
}
